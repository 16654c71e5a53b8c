#include <algorithm>
#include <cmath>

#include "ops/quantise_int8.h"

namespace asam {
namespace {

void quantise(const float* x, int64_t n, uint8_t* y, float* scale, int32_t* zero) {
  if (!std::all_of(x, x + n, [](float one) { return std::isfinite(one); })) {
    std::fill_n(y, n, uint8_t{0});
    *scale = NAN;
    *zero = 0;
    return;
  }
  float low = 0.0f, high = 0.0f;
  for (int64_t i = 0; i < n; ++i) {
    low = std::min(low, x[i]);
    high = std::max(high, x[i]);
  }
  const float range = high - low, steps = range > kLeastRange ? 255.0f / range : 0.0f;
  *scale = range > kLeastRange ? range / 255.0f : 1.0f;
  *zero = static_cast<int32_t>(std::nearbyint(-low * steps));
  for (int64_t i = 0; i < n; ++i) {
    const float level = std::nearbyint(x[i] * steps) + static_cast<float>(*zero);
    y[i] = static_cast<uint8_t>(std::clamp(level, 0.0f, 255.0f));
  }
}

}  // namespace

void quantise_int8_ref(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                       int64_t y_stride, float* scale, int32_t* zero) {
  for (int64_t r = 0; r < rows; ++r) quantise(x + r * x_stride, n, y + r * y_stride, scale + r, zero + r);
}

}  // namespace asam
