#include "ops/matmul_kernel.h"

#if defined(__x86_64__)

namespace asam {

void matmul_avx512f(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                    const Epilogue& epilogue, float* c, int64_t c_stride) {
  simd::matmul_floats<16, 12, 2>(a, a_stride, rows, w, epilogue, c, c_stride);
}

}  // namespace asam

#endif
