#include "ops/relative_attention_kernel.h"

#if defined(__x86_64__)

namespace asam {

void relative_attend_avx512f(const RelativeAttentionShape& shape, const RelativePositions& positions,
                             const float* q, const float* k, const float* v, float* out, float* scratch) {
  simd::relative_attend_kernel<16, 12>(shape, positions, q, k, v, out, scratch);
}

}  // namespace asam

#endif
