#include "ops/attention.h"

#include "ops/attention_kernel.h"
#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void attend_avx2(const AttentionShape& shape, const float* q, const float* k, const float* v,
                 const AttentionBias& bias, float* out, float* scratch);
void attend_part_avx2(const AttentionShape& shape, const float* q, const float* k, const float* v,
                      AttentionPart part, float* sums, float* out, float* scratch);
void attend_avx512f(const AttentionShape& shape, const float* q, const float* k, const float* v,
                    const AttentionBias& bias, float* out, float* scratch);
void attend_part_avx512f(const AttentionShape& shape, const float* q, const float* k, const float* v,
                         AttentionPart part, float* sums, float* out, float* scratch);
#elif defined(__aarch64__)
void attend_neon(const AttentionShape& shape, const float* q, const float* k, const float* v,
                 const AttentionBias& bias, float* out, float* scratch);
void attend_part_neon(const AttentionShape& shape, const float* q, const float* k, const float* v,
                      AttentionPart part, float* sums, float* out, float* scratch);
#endif

namespace {

void attend_portable(const AttentionShape& shape, const float* q, const float* k, const float* v,
                     const AttentionBias& bias, float* out, float* scratch) {
  simd::attend_kernel<4, 6>(shape, q, k, v, bias, {true, true}, scratch, out, scratch);
}

void attend_part_portable(const AttentionShape& shape, const float* q, const float* k, const float* v,
                          AttentionPart part, float* sums, float* out, float* scratch) {
  simd::attend_kernel<4, 6>(shape, q, k, v, {}, part, sums, out, scratch);
}

#if defined(__x86_64__)
constexpr Versions<AttendFn> kAttend{attend_portable, attend_avx2, attend_avx512f};
constexpr Versions<AttendPartFn> kAttendPart{attend_part_portable, attend_part_avx2, attend_part_avx512f};
#elif defined(__aarch64__)
constexpr Versions<AttendFn> kAttend{.portable = attend_portable, .neon = attend_neon};
constexpr Versions<AttendPartFn> kAttendPart{.portable = attend_part_portable, .neon = attend_part_neon};
#else
constexpr Versions<AttendFn> kAttend{attend_portable};
constexpr Versions<AttendPartFn> kAttendPart{attend_part_portable};
#endif

}  // namespace

int64_t attention_scratch(const AttentionShape& shape) {
  return (shape.dim + shape.keys) * simd::kQueryStep;
}

int64_t attention_sums(const AttentionShape& shape) {
  const int64_t steps = (shape.queries + simd::kQueryStep - 1) / simd::kQueryStep;
  return steps * simd::kQueryStep * shape.heads * (2 + shape.dim);
}

AttendFn attend_for(Isa isa) {
  return kAttend.pick(isa);
}

AttendPartFn attend_part_for(Isa isa) {
  return kAttendPart.pick(isa);
}

}  // namespace asam
