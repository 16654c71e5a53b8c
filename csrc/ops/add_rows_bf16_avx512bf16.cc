#if defined(__x86_64__)

#include "ops/add_rows_bf16.h"
#include "ops/bf16_simd.h"

namespace asam {

void add_rows_bf16_avx512bf16(const float* x, int64_t rows, int64_t n, const float* row, int64_t row_count,
                              bool relu, Bf16* y) {
  using F = simd::Float<16>;
  const F floor = simd::splat<16>(relu ? 0.0f : -__builtin_inff());
  for (int64_t r = 0; r < rows; ++r, x += n, y += n) {
    const float* add = row + r % row_count * n;
    for (int64_t i = 0; i < n; i += 16) {
      const F sum = simd::load_first(x + i, n - i) + simd::load_first(add + i, n - i);
      simd::store_first_bf16(y + i, simd::max<16>(floor, sum), n - i);
    }
  }
}

}  // namespace asam

#endif
