#if defined(__x86_64__)

#include "ops/bf16_simd.h"
#include "ops/quantise_row.h"

namespace asam {

void quantise_row_avx512bf16(const float* x, int64_t n, uint8_t* y, float* scale, int32_t* zero) {
  simd::Float<16> lows{}, highs{}, spoiled{};
  for (int64_t i = 0; i < n; i += 16) {
    const simd::Float<16> v = simd::load_first(x + i, n - i);
    lows = simd::min<16>(lows, v);
    highs = simd::max<16>(highs, v);
    spoiled += v * 0.0f;
  }
  float low = 0.0f, high = 0.0f;
  for (int lane = 0; lane < 16; ++lane) {
    low = lows[lane] < low ? lows[lane] : low;
    high = highs[lane] > high ? highs[lane] : high;
  }
  if (simd::sum_to_all(spoiled)[0] != 0.0f) {  // NaN
    __builtin_memset(y, 0, static_cast<size_t>(n));
    *scale = __builtin_nanf("");
    *zero = 0;
    return;
  }
  const float range = high - low, steps = range > kLeastRange ? 255.0f / range : 0.0f;
  *scale = range > kLeastRange ? range / 255.0f : 1.0f;
  *zero = static_cast<int32_t>(__builtin_nearbyintf(-low * steps));
  const __m512i shift = _mm512_set1_epi32(*zero), none = _mm512_setzero_si512();
  for (int64_t i = 0; i < n; i += 16) {
    const simd::Float<16> v = simd::load_first(x + i, n - i) * simd::splat<16>(steps);
    const __m512i level = _mm512_add_epi32(_mm512_maskz_cvtps_epi32(0xffff, (__m512)v), shift);
    _mm512_mask_cvtusepi32_storeu_epi8(y + i, simd::first_lanes(n - i),
                                       _mm512_maskz_max_epi32(0xffff, level, none));
  }
}

}  // namespace asam

#endif
