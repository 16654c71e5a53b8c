#include "ops/quantise_int8_kernel.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace asam {
namespace {

struct Neon {
  using F = simd::Float<4>;
  static constexpr int kLanes = 4;

  ASAM_INLINE static F load_first(const float* p, int64_t count) {
    return count >= kLanes ? simd::load<4>(p) : simd::load_part<4>(p, count);
  }
  ASAM_INLINE static float largest(F v) { return vmaxvq_f32((float32x4_t)v); }
  ASAM_INLINE static float sum(F v) { return vaddvq_f32((float32x4_t)v); }
  ASAM_INLINE static void put(uint8_t* y, F v, int32_t zero, int64_t count) {
    const int32x4_t level = vaddq_s32(vcvtnq_s32_f32((float32x4_t)v), vdupq_n_s32(zero));
    // Both keep what leaves a type's range at its end.
    const int16x4_t words = vqmovn_s32(level);
    const uint8x8_t bytes = vqmovun_s16(vcombine_s16(words, words));
    if (count >= kLanes) {
      __builtin_memcpy(y, &bytes, kLanes);
    } else {  // apart, since a copy of a size that is known only when it runs is a call
      __builtin_memcpy(y, &bytes, static_cast<size_t>(count));
    }
  }
};

}  // namespace

void quantise_int8_neon(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                        int64_t y_stride, float* scale, int32_t* zero) {
  simd::quantise_bytes<Neon>(x, x_stride, rows, n, y, y_stride, scale, zero);
}

}  // namespace asam

#endif
