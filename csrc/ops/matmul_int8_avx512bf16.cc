#if defined(__x86_64__)

#include "ops/bf16_simd.h"
#include "ops/gelu_kernel.h"
#include "ops/matmul_int8.h"

namespace asam {
namespace {

using F = simd::Float<16>;
constexpr int kMostRows = 12;  // 12 x 2 sums, 2 weights and a broadcast fit the 32 registers
constexpr int64_t kGroup = PackedInt8Matrix::kGroup;

// What a tile's sums still need, and where they go.
struct Finish {
  const QuantisedRows& a;
  const Int8View& w;
  const Epilogue& epilogue;
  float* c;
  int64_t c_stride;

  ASAM_INLINE void operator()(__m512i sum, int64_t row, int64_t column) const {
    const int64_t left = w.out - column;
    const __m512i shift =
        _mm512_mullo_epi32(_mm512_set1_epi32(a.zero[row]), _mm512_loadu_si512(w.sums + column));
    F x = (F)_mm512_maskz_cvtepi32_ps(0xffff, _mm512_sub_epi32(sum, shift));
    x *= simd::splat<16>(a.scale[row]) * simd::load<16>(w.scale + column);
    if (epilogue.bias) x += simd::load_first(epilogue.bias + row % epilogue.bias_rows * w.out + column, left);
    if (epilogue.residual) x += simd::load_first(epilogue.residual + row * c_stride + column, left);
    if (epilogue.relu) x = simd::max<16>(F{}, x);
    if (epilogue.gelu) x = simd::gelu<16>(x);
    simd::store_first(c + row * c_stride + column, x, left);
  }
};

// A part of the next panel, fetched while this one is multiplied by: `step` bytes from `from` on for each
// group.
struct Ahead {
  const int8_t* from;
  int64_t step;
};

// Four neighbours in every lane.
ASAM_INLINE __m512i splat_group(const uint8_t* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}

// One tile: Rows rows by Vecs vectors of columns, from `row` and `column` on.
template <int Rows, int Vecs>
ASAM_INLINE void tile(const int8_t* panel, const Ahead& ahead, int64_t row, int64_t column,
                      const Finish& finish) {
  const uint8_t* a = finish.a.values + row * finish.a.stride;
  const int64_t stride = finish.a.stride, groups = (finish.w.in + kGroup - 1) / kGroup;
  __m512i sum[Rows][Vecs];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) sum[r][v] = _mm512_setzero_si512();
  }
  for (int64_t g = 0; g < groups; ++g) {
    __builtin_prefetch(ahead.from + g * ahead.step);
    __m512i w[Vecs];
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) w[v] = _mm512_loadu_si512(panel + (g * Vecs + v) * 64);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const __m512i x = splat_group(a + r * stride + g * kGroup);
#pragma GCC unroll 2
      for (int v = 0; v < Vecs; ++v) sum[r][v] = _mm512_dpbusd_epi32(sum[r][v], x, w[v]);
    }
  }
  // Out of the registers first: the epilogue is then one small loop and not one a sum.
  alignas(64) int32_t sums[Rows][Vecs * 16];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) _mm512_store_si512(&sums[r][v * 16], sum[r][v]);
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vecs && column + v * 16 < finish.w.out; ++v) {
      finish(_mm512_load_si512(&sums[r][v * 16]), row + r, column + v * 16);
    }
  }
}

template <int Rows, int Vecs>
void one_tile(int64_t height, const int8_t* panel, const Ahead& ahead, int64_t row, int64_t column,
              const Finish& finish) {
  if constexpr (Rows > 0) {
    if (height == Rows) {
      tile<Rows, Vecs>(panel, ahead, row, column, finish);
    } else {
      one_tile<Rows - 1, Vecs>(height, panel, ahead, row, column, finish);
    }
  }
}

// Tiles of nearly equal heights: a last one of a row or two would wait for its own sums. next: the panel that
// follows, in part fetched by each tile.
template <int Vecs>
void columns(int64_t rows, const int8_t* panel, const int8_t* next, int64_t column, const Finish& finish) {
  const int64_t tiles = (rows + kMostRows - 1) / kMostRows, groups = (finish.w.in + kGroup - 1) / kGroup;
  const int64_t step = Vecs * 64 / tiles;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = rows * t / tiles, height = rows * (t + 1) / tiles - row;
    one_tile<kMostRows, Vecs>(height, panel, {next + t * step * groups, step}, row, column, finish);
  }
}

}  // namespace

void matmul_int8_avx512bf16(const QuantisedRows& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                            float* c, int64_t c_stride) {
  if (rows == 0) return;
  const Finish finish{a, w, epilogue, c, c_stride};
  const int64_t padded = PackedInt8Matrix::padded(w.in);
  for (int64_t start = 0; start < w.out; start += PackedInt8Matrix::kPanel) {
    const int8_t* panel = w.data + start * padded;
    if (w.out - start <= PackedInt8Matrix::kPanelStep) {
      columns<1>(rows, panel, w.ahead(panel + 16 * padded), start, finish);
    } else {
      columns<2>(rows, panel, w.ahead(panel + 32 * padded), start, finish);
    }
  }
}

}  // namespace asam

#endif
