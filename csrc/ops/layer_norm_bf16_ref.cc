#include <cmath>

#include "ops/layer_norm_bf16.h"

namespace asam {

void layer_norm_bf16_ref(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias,
                         float eps, const NormBf16Result& y) {
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    double mean = 0.0, variance = 0.0;
    for (int64_t i = 0; i < n; ++i) mean += row[i];
    mean /= static_cast<double>(n);
    for (int64_t i = 0; i < n; ++i) variance += (row[i] - mean) * (row[i] - mean);
    variance /= static_cast<double>(n);
    const double scale = 1.0 / std::sqrt(variance + eps);
    for (int64_t i = 0; i < n; ++i) {
      double value = (row[i] - mean) * scale * weight[i] + bias[i];
      if (y.gelu) value = 0.5 * value * std::erfc(-value * std::sqrt(0.5));
      const float out = static_cast<float>(value);
      if (y.wide) y.wide[r * n + i] = out;
      if (y.narrow) to_bf16_ref(&out, 1, y.narrow + r * n + i);
      if (y.narrow_plus) {
        const float sum = out + y.plus[r % y.plus_rows * n + i];
        to_bf16_ref(&sum, 1, y.narrow_plus + r * n + i);
      }
    }
  }
}

}  // namespace asam
