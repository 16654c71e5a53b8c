#include "ops/depthwise.h"

namespace asam {

void depthwise_ref(const DepthwiseShape& s, const float* const rows[3], const float* weight,
                   const float* bias, float* y) {
  for (int64_t i = 0; i < s.out_wide(); ++i) {
    for (int64_t c = 0; c < s.channels; ++c) {
      float sum = bias[c];
      for (int64_t tap = 0; tap < 9; ++tap) {
        const int64_t x = s.stride * i + tap % 3 - 1;
        const float* row = rows[tap / 3];
        if (row && x >= 0 && x < s.wide) sum += weight[tap * s.channels + c] * row[x * s.channels + c];
      }
      y[i * s.channels + c] = sum;
    }
  }
}

}  // namespace asam
