// What of ops/simd.h AVX2 does in fewer instructions. Rules of ops/simd.h apply.
#pragma once

#include <immintrin.h>

#include "ops/simd.h"

namespace asam::simd {

// The first `count` lanes from memory, all for eight and more, the others zero.
ASAM_INLINE Float<8> load_first(const float* p, int64_t count) {
  return count >= 8 ? load<8>(p) : load_part<8>(p, count);
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
