#include "ops/gelu_kernel.h"

#if defined(__aarch64__)

namespace asam {

void gelu_neon(float* x, int64_t count) {
  simd::gelu_kernel<4>(x, count);
}

}  // namespace asam

#endif
