#if defined(__x86_64__)

#include "ops/avxvnni_words.h"
#include "ops/relative_attention_int16_kernel.h"

namespace asam {

void quantise_int16_avx2(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                         int64_t y_stride, float* scale);

void relative_attend_int16_avxvnni(const RelativeAttentionShape& shape, const RelativePositions& positions,
                                   const float* q, const float* k, const float* v, float* out,
                                   float* scratch) {
  simd::relative_words_kernel<8, 6, simd::Vpdpwssd256>(shape, positions, quantise_int16_avx2, q, k, v, out,
                                                       scratch);
}

}  // namespace asam

#endif
