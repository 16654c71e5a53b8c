#if defined(__x86_64__)

#include "ops/avx512_simd.h"
#include "ops/resize_rows_kernel.h"

namespace asam {
namespace {

struct Shuffle {
  static constexpr int kLanes = 16;

  ASAM_INLINE static bool fits(int64_t) { return true; }
  ASAM_INLINE static __m512 window(const float* p, int64_t readable) {
    return (__m512)simd::load_first(p, readable);
  }
  ASAM_INLINE static simd::Float<16> take(__m512 window, simd::Int<16> at) {
    return (simd::Float<16>)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)at, window);
  }
};

}  // namespace

const ResizeRows kResizeRowsAvx512f{simd::along_shuffled<Shuffle>, simd::values_down<16>, simd::mask_down,
                                    simd::count_down<16>};

}  // namespace asam

#endif
