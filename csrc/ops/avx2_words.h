// The instructions of AVX2 for products of 16-bit numbers. Rules of ops/simd.h apply.
#pragma once

#include <immintrin.h>

#include "ops/simd.h"

namespace asam::simd {

// Two instructions for 16 products, where float32 has one for 8.
struct Vpmaddwd {
  ASAM_INLINE static Int<8> add(Int<8> sum, Int<8> x, Int<8> w) {
    return sum + (Int<8>)_mm256_madd_epi16((__m256i)x, (__m256i)w);
  }
};

}  // namespace asam::simd
