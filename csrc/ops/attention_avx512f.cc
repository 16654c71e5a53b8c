#include "ops/attention_kernel.h"

#if defined(__x86_64__)

namespace asam {

void attend_avx512f(const AttentionShape& shape, const float* q, const float* k, const float* v,
                    const AttentionBias& bias, float* out, float* scratch) {
  simd::attend_kernel<16, 12>(shape, q, k, v, bias, {true, true}, scratch, out, scratch);
}

void attend_part_avx512f(const AttentionShape& shape, const float* q, const float* k, const float* v,
                         AttentionPart part, float* sums, float* out, float* scratch) {
  simd::attend_kernel<16, 12>(shape, q, k, v, {}, part, sums, out, scratch);
}

}  // namespace asam

#endif
