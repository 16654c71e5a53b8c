#include "ops/bf16.h"

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void to_bf16_avx512bf16(const float* x, int64_t count, Bf16* y);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<ToBf16Fn> kToBf16{.portable = to_bf16_ref, .avx512bf16 = to_bf16_avx512bf16};
#else
constexpr Versions<ToBf16Fn> kToBf16{to_bf16_ref};
#endif

}  // namespace

ToBf16Fn to_bf16_for(Isa isa) {
  return kToBf16.pick(isa);
}

}  // namespace asam
