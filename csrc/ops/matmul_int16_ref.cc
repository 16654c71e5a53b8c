#include "ops/epilogue_ref.h"
#include "ops/matmul_int16.h"

namespace asam {

void matmul_int16_ref(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                      float* c, int64_t c_stride) {
  const int64_t in = w.panels.in(), out = w.panels.out();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < out; ++j) {
      int32_t sum = 0;
      for (int64_t i = 0; i < in; ++i) {
        sum += a.values[r * a.stride + i] * w.panels.data()[PackedInt16Matrix::place(i, j, in, out)];
      }
      const float x = static_cast<float>(sum) * (a.scale[r] * w.scale[j]);
      c[r * c_stride + j] = finish_ref(x, epilogue, r, j, out, c_stride);
    }
  }
}

}  // namespace asam
