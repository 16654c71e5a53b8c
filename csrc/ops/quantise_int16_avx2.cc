#if defined(__x86_64__)

#include "ops/avx2_simd.h"
#include "ops/quantise_int16_kernel.h"

namespace asam {
namespace {

struct Avx2 {
  using F = simd::Float<8>;
  static constexpr int kLanes = 8;

  ASAM_INLINE static F load_first(const float* p, int64_t count) { return simd::load_first(p, count); }
  ASAM_INLINE static F abs(F v) { return (F)((simd::Int<8>)v & 0x7fffffff); }
  ASAM_INLINE static float sum(F v) { return simd::sum_of_lanes(v); }
  ASAM_INLINE static float largest(F v) { return simd::max_of_lanes(v); }
  ASAM_INLINE static void put(int16_t* y, F v, bool any, int64_t count) {
    const __m256i level = any ? _mm256_cvtps_epi32((__m256)v) : _mm256_setzero_si256();
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(level), _mm256_extracti128_si256(level, 1));
    simd::store_first(y, words, count);
  }
};

}  // namespace

void quantise_int16_avx2(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                         int64_t y_stride, float* scale) {
  simd::quantise_rows<Avx2>(x, x_stride, rows, n, y, y_stride, scale);
}

}  // namespace asam

#endif
