#if defined(__x86_64__)

#include "ops/bf16_simd.h"
#include "ops/gelu_kernel.h"
#include "ops/matmul_bf16.h"

namespace asam {
namespace {

using F = simd::Float<16>;
constexpr int kMostRows = 12;  // 12 x 2 sums, 2 weights and a broadcast fit the 32 registers

// What a tile's sums still need: where they go, and what is added on the way. Rows and columns of the tile
// are already in the pointers.
struct Finish {
  const Epilogue& epilogue;
  const Bf16Result& c;
  int64_t out;

  ASAM_INLINE void operator()(F x, int64_t row, int64_t column) const {
    const int64_t left = out - column;
    if (epilogue.bias) x += simd::load_first(epilogue.bias + row % epilogue.bias_rows * out + column, left);
    if (epilogue.residual) x += simd::load_first(epilogue.residual + row * c.wide_stride + column, left);
    if (epilogue.relu) x = simd::max<16>(F{}, x);
    if (epilogue.gelu) x = simd::gelu<16>(x);
    if (c.wide) simd::store_first(c.wide + row * c.wide_stride + column, x, left);
    if (c.narrow) simd::store_first_bf16(c.narrow + row * c.narrow_stride + column, x, left);
  }
};

// A part of the next panel, fetched while this one is multiplied by: `step` bytes from `from` on for each
// pair.
struct Ahead {
  const char* from;
  int64_t step;
};

// One tile: Rows rows by Vecs vectors of columns. a and panel point at its first row and column.
template <int Rows, int Vecs>
ASAM_INLINE void tile(const Bf16* a, int64_t a_stride, int64_t in, const Bf16* panel, const Ahead& ahead,
                      int64_t row, int64_t column, const Finish& finish) {
  F sum[Rows][Vecs];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) sum[r][v] = F{};
  }
  const int64_t pairs = in / 2;
  for (int64_t p = 0; p < pairs; ++p) {
    __builtin_prefetch(ahead.from + p * ahead.step);
    __m512bh w[Vecs];
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) w[v] = simd::load_pairs(panel + (p * Vecs + v) * 32);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const __m512bh x = simd::splat_pair(a + r * a_stride + 2 * p);
#pragma GCC unroll 2
      for (int v = 0; v < Vecs; ++v) sum[r][v] = simd::dot_pairs(sum[r][v], x, w[v]);
    }
  }
  if (in % 2) {
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) {
      const __m512bh w = simd::load_pairs(panel + (pairs * Vecs + v) * 32);
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) {
        sum[r][v] = simd::dot_pairs(sum[r][v], simd::splat_last(a + r * a_stride + in - 1), w);
      }
    }
  }
  // Out of the registers first: the epilogue is then one small loop and not one a sum.
  alignas(64) float sums[Rows][Vecs * 16];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) simd::store<16>(&sums[r][v * 16], sum[r][v]);
  }
  for (int r = 0; r < Rows; ++r) {
    for (int v = 0; v < Vecs && column + v * 16 < finish.out; ++v) {
      finish(simd::load<16>(&sums[r][v * 16]), row + r, column + v * 16);
    }
  }
}

template <int Rows, int Vecs>
void one_tile(int64_t height, const Bf16* a, int64_t a_stride, int64_t in, const Bf16* panel,
              const Ahead& ahead, int64_t row, int64_t column, const Finish& finish) {
  if constexpr (Rows > 0) {
    if (height == Rows) {
      tile<Rows, Vecs>(a, a_stride, in, panel, ahead, row, column, finish);
    } else {
      one_tile<Rows - 1, Vecs>(height, a, a_stride, in, panel, ahead, row, column, finish);
    }
  }
}

// Tiles of nearly equal heights: a last one of a row or two would wait for its own sums. next: the panel that
// follows, in part fetched by each tile.
template <int Vecs>
void columns(const Bf16* a, int64_t a_stride, int64_t rows, int64_t in, const Bf16* panel, const Bf16* next,
             int64_t column, const Finish& finish) {
  const int64_t tiles = (rows + kMostRows - 1) / kMostRows, pairs = (in + 1) / 2;
  const int64_t step = Vecs * 64 / tiles;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = rows * t / tiles, height = rows * (t + 1) / tiles - row;
    const Ahead ahead{reinterpret_cast<const char*>(next) + t * step * pairs, step};
    one_tile<kMostRows, Vecs>(height, a + row * a_stride, a_stride, in, panel, ahead, row, column, finish);
  }
}

}  // namespace

void matmul_bf16_avx512bf16(const Bf16* a, int64_t a_stride, int64_t rows, const PackedView<Bf16>& w,
                            const Epilogue& epilogue, const Bf16Result& c) {
  if (rows == 0) return;
  const int64_t in = w.in(), out = w.out(), pairs = (in + 1) / 2;
  const Finish finish{epilogue, c, out};
  for (int64_t start = 0; start < out; start += PackedBf16Matrix::kPanel) {
    const Bf16* panel = w.data() + 2 * start * pairs;
    if (out - start <= PackedBf16Matrix::kPanelStep) {
      columns<1>(a, a_stride, rows, in, panel, w.ahead(panel + 32 * pairs), start, finish);
    } else {
      columns<2>(a, a_stride, rows, in, panel, w.ahead(panel + 64 * pairs), start, finish);
    }
  }
}

}  // namespace asam

#endif
