#if defined(__x86_64__)

#include <immintrin.h>

#include "ops/matmul_int16_kernel.h"

namespace asam {
namespace {

// Two instructions for 16 products, where float32 has one for 8.
struct Vpmaddwd {
  ASAM_INLINE static simd::Int<8> add(simd::Int<8> sum, simd::Int<8> x, simd::Int<8> w) {
    return sum + (simd::Int<8>)_mm256_madd_epi16((__m256i)x, (__m256i)w);
  }
};

}  // namespace

void matmul_int16_avx2(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                       float* c, int64_t c_stride) {
  simd::matmul_words<8, 6, 2, Vpmaddwd>(a, rows, w, epilogue, c, c_stride);
}

}  // namespace asam

#endif
