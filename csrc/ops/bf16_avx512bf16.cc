#if defined(__x86_64__)

#include "ops/bf16_simd.h"

namespace asam {

void to_bf16_avx512bf16(const float* x, int64_t count, Bf16* y) {
  for (int64_t i = 0; i < count; i += 16) {
    simd::store_first_bf16(y + i, simd::load_first(x + i, count - i), count - i);
  }
}

}  // namespace asam

#endif
