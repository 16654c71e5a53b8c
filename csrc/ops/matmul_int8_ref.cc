#include <cmath>

#include "ops/matmul_int8.h"

namespace asam {
namespace {

// Element [i, j] of a packed matrix.
int32_t weight_at(const Int8View& w, int64_t i, int64_t j) {
  constexpr int64_t kGroup = PackedInt8Matrix::kGroup;
  const int64_t start = j / PackedInt8Matrix::kPanel * PackedInt8Matrix::kPanel;
  const bool narrow = w.panels.out() - start <= PackedInt8Matrix::kPanelStep;
  const int64_t width = narrow ? PackedInt8Matrix::kPanelStep : PackedInt8Matrix::kPanel;
  const int64_t panel = start * PackedInt8Matrix::padded(w.panels.in());
  return w.panels.data()[panel + (i / kGroup * width + (j - start)) * kGroup + i % kGroup];
}

}  // namespace

void matmul_int8_ref(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                     float* c, int64_t c_stride) {
  const int64_t in = w.panels.in(), out = w.panels.out();
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < out; ++j) {
      int32_t sum = -a.zero[r] * w.sums[j];
      for (int64_t i = 0; i < in; ++i) sum += a.values[r * a.stride + i] * weight_at(w, i, j);
      float x = static_cast<float>(sum) * (a.scale[r] * w.scale[j]);
      if (epilogue.bias) x += epilogue.bias[r % epilogue.bias_rows * out + j];
      if (epilogue.residual) x += epilogue.residual[r * c_stride + j];
      if (epilogue.relu && x < 0.0f) x = 0.0f;
      if (epilogue.gelu) x = static_cast<float>(0.5 * x * std::erfc(-x * std::sqrt(0.5)));
      c[r * c_stride + j] = x;
    }
  }
}

}  // namespace asam
