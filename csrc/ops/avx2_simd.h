// What of ops/simd.h AVX2 does in fewer instructions. Rules of ops/simd.h apply.
#pragma once

#include <immintrin.h>

#include "ops/simd.h"

namespace asam::simd {

// The first `count` lanes from memory, all for eight and more, the others zero.
ASAM_INLINE Float<8> load_first(const float* p, int64_t count) {
  return count >= 8 ? load<8>(p) : load_part<8>(p, count);
}

// The first `count` of the eight numbers that v begins with, all for eight and more. Apart, since a copy of a
// size that is known only when it runs is a call.
template <class T>
ASAM_INLINE void store_first(T* to, __m128i v, int64_t count) {
  if (count >= 8) {
    __builtin_memcpy(to, &v, 8 * sizeof(T));
  } else {
    __builtin_memcpy(to, &v, static_cast<size_t>(count) * sizeof(T));
  }
}

ASAM_INLINE float sum_of_lanes(Float<8> v) {
  __m128 half = _mm_add_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  half = _mm_add_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

ASAM_INLINE float max_of_lanes(Float<8> v) {
  __m128 half = _mm_max_ps(_mm256_castps256_ps128((__m256)v), _mm256_extractf128_ps((__m256)v, 1));
  half = _mm_max_ps(half, _mm_movehl_ps(half, half));
  return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
}

}  // namespace asam::simd
