#include "ops/relative_attention_kernel.h"

#if defined(__aarch64__)

namespace asam {

// As in attention_neon.cc.
void relative_attend_neon(const RelativeAttentionShape& shape, const RelativePositions& positions,
                          const float* q, const float* k, const float* v, float* out, float* scratch) {
  simd::relative_attend_kernel<4, 8>(shape, positions, q, k, v, out, scratch);
}

}  // namespace asam

#endif
