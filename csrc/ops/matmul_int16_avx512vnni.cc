#if defined(__x86_64__)

#include <immintrin.h>

#include "ops/matmul_int16_kernel.h"

namespace asam {
namespace {

struct Vpdpwssd {
  ASAM_INLINE static simd::Int<16> add(simd::Int<16> sum, simd::Int<16> x, simd::Int<16> w) {
    return (simd::Int<16>)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
  }
};

}  // namespace

void matmul_int16_avx512vnni(const Int16RowsView& a, int64_t rows, const Int16View& w,
                             const Epilogue& epilogue, float* c, int64_t c_stride) {
  simd::matmul_words<16, 12, 2, Vpdpwssd>(a, rows, w, epilogue, c, c_stride);
}

}  // namespace asam

#endif
