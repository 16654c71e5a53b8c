#if defined(__x86_64__)

#include <immintrin.h>

#include "ops/matmul_int8.h"
#include "ops/matmul_kernel.h"

namespace asam {
namespace {

struct Bytes {
  using Number = uint8_t;
  using Weight = int8_t;
  using Vector = simd::Int<16>;
  static constexpr int kLanes = 16;

  const Int8RowsView& a;
  const Int8View& w;

  ASAM_INLINE static Vector add(Vector sum, Vector x, Vector w) {
    return (Vector)_mm512_dpbusd_epi32((__m512i)sum, (__m512i)x, (__m512i)w);
  }
  ASAM_INLINE simd::Float<16> value(Vector sum, int64_t row, int64_t column) const {
    const auto shift = a.zero[row] * simd::load_vector<Vector>(w.sums + column);
    const auto x = __builtin_convertvector(sum - shift, simd::Float<16>);
    return x * (simd::splat<16>(a.scale[row]) * simd::load<16>(w.scale + column));
  }
};

}  // namespace

void matmul_int8_avx512vnni(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                            float* c, int64_t c_stride) {
  const simd::Product<Bytes> product{a.values, a.stride, w.panels, {a, w}, epilogue, c, c_stride};
  simd::matmul_kernel<12, 2>(product, rows);
}

}  // namespace asam

#endif
