#include <cmath>

#include "ops/matmul_bf16.h"

namespace asam {
namespace {

// Element [i, j] of a packed matrix.
float weight_at(const PackedView<Bf16>& w, int64_t i, int64_t j) {
  const int64_t start = j / PackedBf16Matrix::kPanel * PackedBf16Matrix::kPanel;
  const bool narrow = w.out() - start <= PackedBf16Matrix::kPanelStep;
  const int64_t width = narrow ? PackedBf16Matrix::kPanelStep : PackedBf16Matrix::kPanel;
  const int64_t pairs = (w.in() + 1) / 2;
  return from_bf16(w.data()[2 * (start * pairs + i / 2 * width + (j - start)) + i % 2]);
}

}  // namespace

void matmul_bf16_ref(const Bf16* a, int64_t a_stride, int64_t rows, const PackedView<Bf16>& w,
                     const Epilogue& epilogue, const Bf16Result& c) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < w.out(); ++j) {
      float sum = 0.0f;
      for (int64_t i = 0; i < w.in(); ++i) sum += from_bf16(a[r * a_stride + i]) * weight_at(w, i, j);
      if (epilogue.bias) sum += epilogue.bias[r % epilogue.bias_rows * w.out() + j];
      if (epilogue.residual) sum += epilogue.residual[r * c.wide_stride + j];
      if (epilogue.relu && sum < 0.0f) sum = 0.0f;
      if (epilogue.gelu) sum = static_cast<float>(0.5 * sum * std::erfc(-sum * std::sqrt(0.5)));
      if (c.wide) c.wide[r * c.wide_stride + j] = sum;
      if (c.narrow) to_bf16_ref(&sum, 1, c.narrow + r * c.narrow_stride + j);
    }
  }
}

}  // namespace asam
