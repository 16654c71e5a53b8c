#include "ops/depthwise_kernel.h"

#if defined(__aarch64__)

namespace asam {

void depthwise_neon(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                    const float* bias, float* y) {
  simd::depthwise_kernel<4>(shape, rows, weight, bias, y);
}

}  // namespace asam

#endif
