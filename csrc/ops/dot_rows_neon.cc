#include "ops/dot_rows_kernel.h"

#if defined(__aarch64__)

namespace asam {

void dot_rows_neon(const float* x, int64_t rows, int64_t n, const float* h, float* y) {
  simd::dot_rows_kernel<4>(x, rows, n, h, y);
}

}  // namespace asam

#endif
