#if defined(__x86_64__)

#include "ops/dot_groups_kernel.h"
#include "ops/matmul_int16.h"

namespace asam {
namespace {

struct Numbers {
  using Row = int16_t;
  using Matrix = PackedInt16Matrix;

  const Int16RowsView& a;
  const Int16View& w;

  ASAM_INLINE static __m512i add(__m512i sum, __m512i x, __m512i w) { return _mm512_dpwssd_epi32(sum, x, w); }

  ASAM_INLINE simd::Float<16> scaled(__m512i sum, int64_t row, int64_t column) const {
    const auto x = (simd::Float<16>)_mm512_maskz_cvtepi32_ps(0xffff, sum);
    return x * (simd::splat<16>(a.scale[row]) * simd::load<16>(w.scale + column));
  }
};

}  // namespace

void matmul_int16_avx512vnni(const Int16RowsView& a, int64_t rows, const Int16View& w,
                             const Epilogue& epilogue, float* c, int64_t c_stride) {
  dot_groups::run(dot_groups::Product<Numbers>{a.values, a.stride, w.panels, {a, w}, epilogue, c, c_stride},
                  rows);
}

}  // namespace asam

#endif
