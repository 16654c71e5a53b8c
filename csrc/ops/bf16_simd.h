// AVX512-BF16 pieces that its files share. Rules of ops/simd.h apply. Vectors are Float<16> of that header.
#pragma once

#include <immintrin.h>

#include "ops/bf16.h"
#include "ops/simd.h"

namespace asam::simd {

// The first `count` lanes of 16, all for 16 and more.
ASAM_INLINE __mmask16 first_lanes(int64_t count) {
  return static_cast<__mmask16>(count >= 16 ? 0xffffu : (1u << count) - 1u);
}

// The first `count` lanes from memory, the others zero.
ASAM_INLINE Float<16> load_first(const float* p, int64_t count) {
  if (count >= 16) return load<16>(p);
  return (Float<16>)_mm512_maskz_loadu_ps(first_lanes(count), p);
}

ASAM_INLINE void store_first(float* p, Float<16> v, int64_t count) {
  if (count >= 16) return store<16>(p, v);
  _mm512_mask_storeu_ps(p, first_lanes(count), (__m512)v);
}

// Rounded to bfloat16.
ASAM_INLINE void store_bf16(Bf16* p, Float<16> v) {
  const __m256bh rounded = _mm512_cvtneps_pbh((__m512)v);
  __builtin_memcpy(p, &rounded, sizeof rounded);
}

ASAM_INLINE void store_first_bf16(Bf16* p, Float<16> v, int64_t count) {
  if (count >= 16) return store_bf16(p, v);
  _mm256_mask_storeu_epi16(p, first_lanes(count), (__m256i)_mm512_cvtneps_pbh((__m512)v));
}

// 16 pairs of neighbours.
ASAM_INLINE __m512bh load_pairs(const void* p) {
  __m512bh v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// Two neighbours in every lane.
ASAM_INLINE __m512bh splat_pair(const void* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return (__m512bh)_mm512_set1_epi32(bits);
}

// A last number without a neighbour, beside zero, in every lane.
ASAM_INLINE __m512bh splat_last(const Bf16* p) {
  return (__m512bh)_mm512_set1_epi32(*p);
}

// sum + the products of both numbers of each pair.
ASAM_INLINE Float<16> dot_pairs(Float<16> sum, __m512bh a, __m512bh b) {
  return (Float<16>)_mm512_dpbf16_ps((__m512)sum, a, b);
}

// The sum in every lane, in one order. (The masked forms, because GCC warns of the undefined register inside
// the plain ones.)
ASAM_INLINE Float<16> sum_to_all(Float<16> v) {
  v += (Float<16>)_mm512_maskz_shuffle_f32x4(0xffff, (__m512)v, (__m512)v, 0x4e);
  v += (Float<16>)_mm512_maskz_shuffle_f32x4(0xffff, (__m512)v, (__m512)v, 0xb1);
  v += (Float<16>)_mm512_maskz_permute_ps(0xffff, (__m512)v, 0x4e);
  v += (Float<16>)_mm512_maskz_permute_ps(0xffff, (__m512)v, 0xb1);
  return v;
}

}  // namespace asam::simd
