#if defined(__aarch64__)

#include <arm_neon.h>

#include "ops/matmul_int8_kernel.h"

namespace asam {
namespace {

// SDOT multiplies signed by signed: numbers of a row have their first bit flipped, which takes 128 off each.
struct Sdot {
  static constexpr int kShift = 128;

  ASAM_INLINE static simd::Int<4> add(simd::Int<4> sum, simd::Int<4> x, simd::Int<4> w) {
    return (simd::Int<4>)vdotq_s32((int32x4_t)sum, (int8x16_t)w, flipped((uint8x16_t)x));
  }
  ASAM_INLINE static int8x16_t flipped(uint8x16_t x) { return (int8x16_t)veorq_u8(x, vdupq_n_u8(128)); }
};

// Four groups of a row at a time, each a quarter of a register that SDOT takes its factor from.
struct Dots : simd::Bytes<4, Sdot> {
  using Several = int8x16_t;
  static constexpr int kTogether = 4;

  ASAM_INLINE static Several several(const uint8_t* p) { return Sdot::flipped(vld1q_u8(p)); }

  using Bytes::add;
  ASAM_INLINE static Vector add(Vector sum, Several x, int t, Vector w) {
    const auto s = (int32x4_t)sum;
    const auto b = (int8x16_t)w;
    if (t == 0) return (Vector)vdotq_laneq_s32(s, b, x, 0);
    if (t == 1) return (Vector)vdotq_laneq_s32(s, b, x, 1);
    if (t == 2) return (Vector)vdotq_laneq_s32(s, b, x, 2);
    return (Vector)vdotq_laneq_s32(s, b, x, 3);
  }
};

}  // namespace

// 20 sums, 4 vectors of weights, 5 of rows and the bit to flip, of 32 registers.
void matmul_int8_neondot(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                         float* c, int64_t c_stride) {
  const simd::Product<Dots> product{a.values, a.stride, w.panels, {{a, w}}, epilogue, c, c_stride};
  simd::matmul_kernel<5, 4>(product, rows);
}

}  // namespace asam

#endif
