#if defined(__x86_64__)

#include <immintrin.h>

#include "ops/filter_rows.h"
#include "ops/simd.h"

namespace asam {
namespace {

constexpr int32_t kHalf = 1 << (kFilterBits - 1);
constexpr int64_t kLanes = 8;

// Eight sums -> eight bytes.
ASAM_INLINE int64_t rounded(__m256i sums) {
  const __m256i whole = _mm256_srai_epi32(sums, kFilterBits);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(whole), _mm256_extracti128_si256(whole, 1));
  return _mm_cvtsi128_si64(_mm_packus_epi16(words, words));
}

ASAM_INLINE __m128i load_eight(const uint8_t* p) {
  return _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p));
}

// Two pixels at a time, each in four lanes, the fourth of which is nothing. A load of them is two bytes too
// long: the taps that would read beyond the row are left to the end.
void along(const uint8_t* x, int64_t in, const FilterTaps& taps, uint8_t* y) {
  const uint8_t* const end = x + in * kColours;
  const __m128i apart = _mm_setr_epi8(0, 1, 2, -1, 3, 4, 5, -1, -1, -1, -1, -1, -1, -1, -1, -1);
  const __m256i one_each = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
  const auto [first, counts, all_weights, out, most] = taps;
  const int32_t* weight = all_weights;
  for (int64_t i = 0; i < out; ++i, y += kColours, weight += most) {
    const uint8_t* from = x + first[i] * kColours;
    const int32_t count = counts[i];
    __m256i sums = _mm256_setzero_si256();
    int32_t t = 0;
    for (; t < count && end - from >= kLanes; t += 2, from += 2 * kColours) {
      const __m256i pixels = _mm256_cvtepu8_epi32(_mm_shuffle_epi8(load_eight(from), apart));
      const __m256i pair = _mm256_castsi128_si256(load_eight(reinterpret_cast<const uint8_t*>(weight + t)));
      sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(pixels, _mm256_permutevar8x32_epi32(pair, one_each)));
    }
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    for (; t < count; ++t, from += kColours) {
      const __m128i pixel = _mm_setr_epi32(from[0], from[1], from[2], 0);
      sum = _mm_add_epi32(sum, _mm_mullo_epi32(pixel, _mm_set1_epi32(weight[t])));
    }
    sum = _mm_add_epi32(sum, _mm_set1_epi32(kHalf));
    const int64_t bytes = rounded(_mm256_castsi128_si256(sum));
    y[0] = static_cast<uint8_t>(bytes);
    y[1] = static_cast<uint8_t>(bytes >> 8);
    y[2] = static_cast<uint8_t>(bytes >> 16);
  }
}

void down(const uint8_t* x, int64_t n, const int32_t* weights, int64_t count, uint8_t* y) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    __m256i sums = _mm256_set1_epi32(kHalf);
    for (int64_t t = 0; t < count; ++t) {
      const __m256i pixels = _mm256_cvtepu8_epi32(load_eight(x + t * n + i));
      sums = _mm256_add_epi32(sums, _mm256_mullo_epi32(pixels, _mm256_set1_epi32(weights[t])));
    }
    const int64_t bytes = rounded(sums);
    __builtin_memcpy(y + i, &bytes, sizeof bytes);
  }
  for (; i < n; ++i) {
    int32_t sum = kHalf;
    for (int64_t t = 0; t < count; ++t) sum += weights[t] * x[t * n + i];
    const int32_t whole = sum >> kFilterBits;
    y[i] = static_cast<uint8_t>(whole > 255 ? 255 : whole);
  }
}

}  // namespace

const FilterRows kFilterRowsAvx2{along, down};

}  // namespace asam

#endif
