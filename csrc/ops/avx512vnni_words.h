// The instructions of AVX512-VNNI for products of 16-bit and of 8-bit numbers. Rules of ops/simd.h apply.
#pragma once

#include <immintrin.h>

#include "ops/simd.h"

namespace asam::simd {

struct Vpdpwssd {
  ASAM_INLINE static Int<16> add(Int<16> sum, Int<16> x, Int<16> w) {
    return (Int<16>)_mm512_dpwssd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
  }
};

struct Vpdpbusd {
  static constexpr int kShift = 0;

  ASAM_INLINE static Int<16> add(Int<16> sum, Int<16> x, Int<16> w) {
    return (Int<16>)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
  }
};

}  // namespace asam::simd
