#include "ops/epilogue_ref.h"
#include "ops/matmul.h"

namespace asam {
namespace {

// Element [i, j] of a packed matrix.
float weight_at(const PackedView<float>& w, int64_t i, int64_t j) {
  const int64_t start = j / w.panel() * w.panel();
  const bool narrow = w.out() - start <= PackedMatrix::kPanelStep;
  const int64_t stride = narrow ? PackedMatrix::kPanelStep : w.panel();
  return w.data()[start * w.in() + i * stride + (j - start)];
}

}  // namespace

void matmul_ref(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                const Epilogue& epilogue, float* c, int64_t c_stride) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < w.out(); ++j) {
      float sum = 0.0f;
      for (int64_t i = 0; i < w.in(); ++i) sum += a[r * a_stride + i] * weight_at(w, i, j);
      c[r * c_stride + j] = finish_ref(sum, epilogue, r, j, w.out(), c_stride);
    }
  }
}

}  // namespace asam
