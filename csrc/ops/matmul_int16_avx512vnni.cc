#if defined(__x86_64__)

#include "ops/avx512vnni_words.h"
#include "ops/matmul_int16_kernel.h"

namespace asam {

void matmul_int16_avx512vnni(const Int16RowsView& a, int64_t rows, const Int16View& w,
                             const Epilogue& epilogue, float* c, int64_t c_stride) {
  simd::matmul_words<16, 12, 2, simd::Vpdpwssd>(a, rows, w, epilogue, c, c_stride);
}

}  // namespace asam

#endif
