#if defined(__x86_64__)

#include "ops/avx512_simd.h"
#include "ops/quantise_int8.h"

namespace asam {
namespace {

using F = simd::Float<16>;
constexpr int64_t kRows = 8;  // together, so that one's ends are on their way while the next is read

// Smallest and largest number of a row and 0; finite: 0, or NaN.
struct Ends {
  float low, high, finite;
};

ASAM_INLINE Ends ends_of(const float* x, int64_t n) {
  F lows{}, highs{}, spoiled{};
  for (int64_t i = 0; i < n; i += 16) {
    const F v = simd::load_first(x + i, n - i);
    lows = simd::min<16>(lows, v);
    highs = simd::max<16>(highs, v);
    spoiled += v * 0.0f;
  }
  return {-simd::max_to_all(-lows)[0], simd::max_to_all(highs)[0], simd::sum_to_all(spoiled)[0]};
}

ASAM_INLINE void round_row(const float* x, int64_t n, const Ends& ends, uint8_t* y, float* scale,
                           int32_t* zero) {
  if (ends.finite != 0.0f) {  // NaN
    __builtin_memset(y, 0, static_cast<size_t>(n));
    *scale = __builtin_nanf("");
    *zero = 0;
    return;
  }
  const float range = ends.high - ends.low, steps = range > kLeastRange ? 255.0f / range : 0.0f;
  *scale = range > kLeastRange ? range / 255.0f : 1.0f;
  *zero = static_cast<int32_t>(__builtin_nearbyintf(-ends.low * steps));
  const __m512i shift = _mm512_set1_epi32(*zero), none = _mm512_setzero_si512();
  for (int64_t i = 0; i < n; i += 16) {
    const F v = simd::load_first(x + i, n - i) * simd::splat<16>(steps);
    const __m512i level = _mm512_add_epi32(_mm512_maskz_cvtps_epi32(0xffff, (__m512)v), shift);
    _mm512_mask_cvtusepi32_storeu_epi8(y + i, simd::first_lanes(n - i),
                                       _mm512_maskz_max_epi32(0xffff, level, none));
  }
}

}  // namespace

void quantise_int8_avx512vnni(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                              int64_t y_stride, float* scale, int32_t* zero) {
  for (int64_t first = 0; first < rows; first += kRows) {
    const int64_t end = first + kRows < rows ? first + kRows : rows;
    Ends ends[kRows];
    for (int64_t r = first; r < end; ++r) ends[r - first] = ends_of(x + r * x_stride, n);
    for (int64_t r = first; r < end; ++r) {
      round_row(x + r * x_stride, n, ends[r - first], y + r * y_stride, scale + r, zero + r);
    }
  }
}

}  // namespace asam

#endif
