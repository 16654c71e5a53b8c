#if defined(__x86_64__)

#include "ops/avx512_simd.h"
#include "ops/quantise_int8_kernel.h"

namespace asam {
namespace {

struct Avx512 {
  using F = simd::Float<16>;
  static constexpr int kLanes = 16;

  ASAM_INLINE static F load_first(const float* p, int64_t count) { return simd::load_first(p, count); }
  ASAM_INLINE static float largest(F v) { return simd::max_to_all(v)[0]; }
  ASAM_INLINE static float sum(F v) { return simd::sum_to_all(v)[0]; }
  ASAM_INLINE static void put(uint8_t* y, F v, int32_t zero, int64_t count) {
    const __m512i level =
        _mm512_add_epi32(_mm512_maskz_cvtps_epi32(0xffff, (__m512)v), _mm512_set1_epi32(zero));
    _mm512_mask_cvtusepi32_storeu_epi8(y, simd::first_lanes(count),
                                       _mm512_maskz_max_epi32(0xffff, level, _mm512_setzero_si512()));
  }
};

}  // namespace

void quantise_int8_avx512vnni(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                              int64_t y_stride, float* scale, int32_t* zero) {
  simd::quantise_bytes<Avx512>(x, x_stride, rows, n, y, y_stride, scale, zero);
}

}  // namespace asam

#endif
