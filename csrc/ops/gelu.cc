#include "ops/gelu.h"

#include "ops/dispatch.h"
#include "ops/gelu_kernel.h"

namespace asam {

#if defined(__x86_64__)
void gelu_avx2(float* x, int64_t count);
void gelu_avx512f(float* x, int64_t count);
#elif defined(__aarch64__)
void gelu_neon(float* x, int64_t count);
#endif

namespace {

void gelu_portable(float* x, int64_t count) {
  simd::gelu_kernel<4>(x, count);
}

#if defined(__x86_64__)
constexpr Versions<GeluFn> kGelu{gelu_portable, gelu_avx2, gelu_avx512f};
#elif defined(__aarch64__)
constexpr Versions<GeluFn> kGelu{.portable = gelu_portable, .neon = gelu_neon};
#else
constexpr Versions<GeluFn> kGelu{gelu_portable};
#endif

}  // namespace

GeluFn gelu_for(Isa isa) {
  return kGelu.pick(isa);
}

}  // namespace asam
