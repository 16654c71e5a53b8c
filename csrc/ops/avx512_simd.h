// AVX-512 pieces that its files share. Rules of ops/simd.h apply. Vectors are Float<16> of that header.
#pragma once

#include <immintrin.h>

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

// The sum in every lane, in one order. (The masked forms, because GCC warns of the undefined register inside
// the plain ones.)
ASAM_INLINE Float<16> sum_to_all(Float<16> v) {
  v += (Float<16>)_mm512_maskz_shuffle_f32x4(0xffff, (__m512)v, (__m512)v, 0x4e);
  v += (Float<16>)_mm512_maskz_shuffle_f32x4(0xffff, (__m512)v, (__m512)v, 0xb1);
  v += (Float<16>)_mm512_maskz_permute_ps(0xffff, (__m512)v, 0x4e);
  v += (Float<16>)_mm512_maskz_permute_ps(0xffff, (__m512)v, 0xb1);
  return v;
}

// The largest in every lane.
ASAM_INLINE Float<16> max_to_all(Float<16> v) {
  v = max<16>(v, (Float<16>)_mm512_maskz_shuffle_f32x4(0xffff, (__m512)v, (__m512)v, 0x4e));
  v = max<16>(v, (Float<16>)_mm512_maskz_shuffle_f32x4(0xffff, (__m512)v, (__m512)v, 0xb1));
  v = max<16>(v, (Float<16>)_mm512_maskz_permute_ps(0xffff, (__m512)v, 0x4e));
  return max<16>(v, (Float<16>)_mm512_maskz_permute_ps(0xffff, (__m512)v, 0xb1));
}

}  // namespace asam::simd
