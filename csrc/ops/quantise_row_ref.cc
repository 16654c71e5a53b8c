#include <algorithm>
#include <cmath>

#include "ops/quantise_row.h"

namespace asam {

void quantise_row_ref(const float* x, int64_t n, uint8_t* y, float* scale, int32_t* zero) {
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

}  // namespace asam
