// The instructions of AVX-VNNI for products of 16-bit and of 8-bit numbers. Rules of ops/simd.h apply.
//
// ASAM_AVX512_ENCODING: the same instructions as AVX-512 encodes them, for tests on processors that have only
// these.
#pragma once

#include <immintrin.h>

#include "ops/simd.h"

namespace asam::simd {

struct Vpdpwssd256 {
  ASAM_INLINE static Int<8> add(Int<8> sum, Int<8> x, Int<8> w) {
#if defined(ASAM_AVX512_ENCODING)
    return (Int<8>)_mm256_dpwssd_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#else
    return (Int<8>)_mm256_dpwssd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#endif
  }
};

struct Vpdpbusd256 {
  static constexpr int kShift = 0;

  ASAM_INLINE static Int<8> add(Int<8> sum, Int<8> x, Int<8> w) {
#if defined(ASAM_AVX512_ENCODING)
    return (Int<8>)_mm256_dpbusd_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#else
    return (Int<8>)_mm256_dpbusd_avx_epi32((__m256i)sum, (__m256i)x, (__m256i)w);
#endif
  }
};

}  // namespace asam::simd
