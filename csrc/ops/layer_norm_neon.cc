#include "ops/layer_norm_kernel.h"

#if defined(__aarch64__)

namespace asam {

void layer_norm_neon(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias,
                     float eps, float* y) {
  simd::layer_norm_kernel<4>(x, rows, n, weight, bias, eps, y);
}

}  // namespace asam

#endif
