#if defined(__x86_64__)

#include "ops/avx2_simd.h"
#include "ops/quantise_int8_kernel.h"

namespace asam {
namespace {

struct Avx2 {
  using F = simd::Float<8>;
  static constexpr int kLanes = 8;

  ASAM_INLINE static F load_first(const float* p, int64_t count) { return simd::load_first(p, count); }
  ASAM_INLINE static float largest(F v) { return simd::max_of_lanes(v); }
  ASAM_INLINE static float sum(F v) { return simd::sum_of_lanes(v); }
  ASAM_INLINE static void put(uint8_t* y, F v, int32_t zero, int64_t count) {
    const __m256i level = _mm256_add_epi32(_mm256_cvtps_epi32((__m256)v), _mm256_set1_epi32(zero));
    // Both keep what leaves a type's range at its end.
    const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(level), _mm256_extracti128_si256(level, 1));
    simd::store_first(y, _mm_packus_epi16(words, words), count);
  }
};

}  // namespace

void quantise_int8_avx2(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                        int64_t y_stride, float* scale, int32_t* zero) {
  simd::quantise_bytes<Avx2>(x, x_stride, rows, n, y, y_stride, scale, zero);
}

}  // namespace asam

#endif
