#include <algorithm>
#include <cmath>

#include "ops/quantise_int16.h"

namespace asam {
namespace {

void quantise(const float* x, int64_t n, int16_t* y, float* scale) {
  std::fill_n(y, n, int16_t{0});
  *scale = 1.0f;
  float largest = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(x[i])) {
      *scale = NAN;
      return;
    }
    largest = std::max(largest, std::abs(x[i]));
  }
  if (largest < kLeastRange) return;
  double squares = 0.0;
  for (int64_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * x[i];
  const auto norm = static_cast<float>(std::sqrt(squares) / largest);
  *scale = largest * int16_scale(1.0f, norm, static_cast<float>(n));
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<int16_t>(std::nearbyint(x[i] / *scale));
}

}  // namespace

void quantise_int16_ref(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                        int64_t y_stride, float* scale) {
  for (int64_t r = 0; r < rows; ++r) quantise(x + r * x_stride, n, y + r * y_stride, scale + r);
}

}  // namespace asam
