#if defined(__x86_64__)

#include "ops/avx512_simd.h"
#include "ops/quantise_int16_kernel.h"

namespace asam {
namespace {

struct Avx512 {
  using F = simd::Float<16>;
  static constexpr int kLanes = 16;

  ASAM_INLINE static F load_first(const float* p, int64_t count) { return simd::load_first(p, count); }
  ASAM_INLINE static F abs(F v) { return (F)_mm512_abs_ps((__m512)v); }
  ASAM_INLINE static float sum(F v) { return simd::sum_to_all(v)[0]; }
  ASAM_INLINE static float largest(F v) { return simd::max_to_all(v)[0]; }
  ASAM_INLINE static void put(int16_t* y, F v, bool any, int64_t count) {
    const __m512i level = _mm512_maskz_cvtps_epi32(any ? 0xffff : 0, (__m512)v);
    _mm512_mask_cvtsepi32_storeu_epi16(y, simd::first_lanes(count), level);
  }
};

}  // namespace

void quantise_int16_avx512vnni(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                               int64_t y_stride, float* scale) {
  simd::quantise_rows<Avx512>(x, x_stride, rows, n, y, y_stride, scale);
}

}  // namespace asam

#endif
