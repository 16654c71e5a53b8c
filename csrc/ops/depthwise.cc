#include "ops/depthwise.h"

#include "ops/depthwise_kernel.h"
#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void depthwise_avx2(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                    const float* bias, float* y);
void depthwise_avx512f(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                       const float* bias, float* y);
#elif defined(__aarch64__)
void depthwise_neon(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                    const float* bias, float* y);
#endif

namespace {

void depthwise_portable(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                        const float* bias, float* y) {
  simd::depthwise_kernel<4>(shape, rows, weight, bias, y);
}

#if defined(__x86_64__)
constexpr Versions<DepthwiseFn> kDepthwise{depthwise_portable, depthwise_avx2, depthwise_avx512f};
#elif defined(__aarch64__)
constexpr Versions<DepthwiseFn> kDepthwise{.portable = depthwise_portable, .neon = depthwise_neon};
#else
constexpr Versions<DepthwiseFn> kDepthwise{depthwise_portable};
#endif

}  // namespace

DepthwiseFn depthwise_for(Isa isa) {
  return kDepthwise.pick(isa);
}

}  // namespace asam
