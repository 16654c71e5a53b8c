#include "ops/matmul_kernel.h"

#if defined(__aarch64__)

namespace asam {

// 20 sums, 4 vectors of weights and 5 factors of 32 registers: with a sixth row compilers spill.
void matmul_neon(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                 const Epilogue& epilogue, float* c, int64_t c_stride) {
  simd::matmul_floats<4, 5, 4>(a, a_stride, rows, w, epilogue, c, c_stride);
}

}  // namespace asam

#endif
