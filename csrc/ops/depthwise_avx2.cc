#include "ops/depthwise_kernel.h"

#if defined(__x86_64__)

namespace asam {

void depthwise_avx2(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                    const float* bias, float* y) {
  simd::depthwise_kernel<8>(shape, rows, weight, bias, y);
}

}  // namespace asam

#endif
