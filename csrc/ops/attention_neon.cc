#include "ops/attention_kernel.h"

#if defined(__aarch64__)

namespace asam {

// 16 sums, 2 vectors of queries and 8 factors of 32 registers: with 12 rows compilers spill.
void attend_neon(const AttentionShape& shape, const float* q, const float* k, const float* v,
                 const AttentionBias& bias, float* out, float* scratch) {
  simd::attend_kernel<4, 8>(shape, q, k, v, bias, {true, true}, scratch, out, scratch);
}

void attend_part_neon(const AttentionShape& shape, const float* q, const float* k, const float* v,
                      AttentionPart part, float* sums, float* out, float* scratch) {
  simd::attend_kernel<4, 8>(shape, q, k, v, {}, part, sums, out, scratch);
}

}  // namespace asam

#endif
