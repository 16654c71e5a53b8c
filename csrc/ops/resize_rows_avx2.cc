#if defined(__x86_64__)

#include <immintrin.h>

#include "ops/resize_rows_kernel.h"

namespace asam {
namespace {

struct Shuffle {
  static constexpr int kLanes = 8;

  ASAM_INLINE static bool fits(int64_t readable) { return readable >= kLanes; }
  ASAM_INLINE static __m256 window(const float* p, int64_t) { return _mm256_loadu_ps(p); }
  ASAM_INLINE static simd::Float<8> take(__m256 window, simd::Int<8> at) {
    return (simd::Float<8>)_mm256_permutevar8x32_ps(window, (__m256i)at);
  }
};

}  // namespace

const ResizeRows kResizeRowsAvx2{simd::along_shuffled<Shuffle>, simd::values_down<8>, simd::mask_down,
                                 simd::count_down<8>};

}  // namespace asam

#endif
