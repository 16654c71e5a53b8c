#include <cmath>

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
      if (epilogue.bias) sum += epilogue.bias[r % epilogue.bias_rows * w.out() + j];
      if (epilogue.residual) sum += epilogue.residual[r * c_stride + j];
      if (epilogue.relu && sum < 0.0f) sum = 0.0f;
      if (epilogue.gelu) sum = static_cast<float>(0.5 * sum * std::erfc(-sum * std::sqrt(0.5)));
      c[r * c_stride + j] = sum;
    }
  }
}

}  // namespace asam
