#include "ops/attention.h"

#include "ops/attention_kernel.h"
#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void attend_avx2(const AttentionShape& shape, const float* q, const float* k, const float* v,
                 const AttentionBias& bias, float* out, float* scratch);
void attend_avx512f(const AttentionShape& shape, const float* q, const float* k, const float* v,
                    const AttentionBias& bias, float* out, float* scratch);
#elif defined(__aarch64__)
void attend_neon(const AttentionShape& shape, const float* q, const float* k, const float* v,
                 const AttentionBias& bias, float* out, float* scratch);
#endif

namespace {

void attend_portable(const AttentionShape& shape, const float* q, const float* k, const float* v,
                     const AttentionBias& bias, float* out, float* scratch) {
  simd::attend_kernel<4, 6>(shape, q, k, v, bias, out, scratch);
}

#if defined(__x86_64__)
constexpr Versions<AttendFn> kAttend{attend_portable, attend_avx2, attend_avx512f};
#elif defined(__aarch64__)
constexpr Versions<AttendFn> kAttend{.portable = attend_portable, .neon = attend_neon};
#else
constexpr Versions<AttendFn> kAttend{attend_portable};
#endif

}  // namespace

int64_t attention_scratch(const AttentionShape& shape) {
  return (shape.dim + shape.keys) * simd::kQueryStep;
}

AttendFn attend_for(Isa isa) {
  return kAttend.pick(isa);
}

}  // namespace asam
