#if defined(__x86_64__)

#include "ops/dot_groups_kernel.h"
#include "ops/matmul_int8.h"

namespace asam {
namespace {

struct Numbers {
  using Row = uint8_t;
  using Matrix = PackedInt8Matrix;

  const Int8RowsView& a;
  const Int8View& w;

  ASAM_INLINE static __m512i add(__m512i sum, __m512i x, __m512i w) { return _mm512_dpbusd_epi32(sum, x, w); }

  ASAM_INLINE simd::Float<16> scaled(__m512i sum, int64_t row, int64_t column) const {
    const __m512i shift =
        _mm512_mullo_epi32(_mm512_set1_epi32(a.zero[row]), _mm512_loadu_si512(w.sums + column));
    const auto x = (simd::Float<16>)_mm512_maskz_cvtepi32_ps(0xffff, _mm512_sub_epi32(sum, shift));
    return x * (simd::splat<16>(a.scale[row]) * simd::load<16>(w.scale + column));
  }
};

}  // namespace

void matmul_int8_avx512vnni(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                            float* c, int64_t c_stride) {
  dot_groups::run(dot_groups::Product<Numbers>{a.values, a.stride, w.panels, {a, w}, epilogue, c, c_stride},
                  rows);
}

}  // namespace asam

#endif
