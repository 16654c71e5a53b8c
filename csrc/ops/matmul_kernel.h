// Register-tiled matrix product, one source for every vector width. Rules of ops/simd.h apply.
#pragma once

#include "ops/gelu_kernel.h"
#include "ops/matmul.h"
#include "ops/simd.h"

namespace asam::simd {

// A part of the next panel, fetched while this one is multiplied by: `step` bytes from `from` on for each
// row.
struct Ahead {
  const char* from;
  int64_t step;
};

// The sums of one tile, `Rows` rows by `Vecs` vectors of columns, row by row. panel points at its first
// column, its rows panel_stride apart. A function of its own, so that the sums have all registers to
// themselves; internal, so that it stays in the file whose instruction set it is compiled for.
template <int Lanes, int Rows, int Vecs>
[[gnu::noinline]] static void matmul_sums(const float* a, int64_t a_stride, int64_t in, const float* panel,
                                          int64_t panel_stride, const char* ahead, int64_t ahead_step,
                                          float* sums) {
  Float<Lanes> sum[Rows][Vecs] = {};
  for (int64_t i = 0; i < in; ++i, panel += panel_stride, ahead += ahead_step) {
    __builtin_prefetch(ahead);
    Float<Lanes> w[Vecs];
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) w[v] = load<Lanes>(panel + v * Lanes);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Float<Lanes> x = splat<Lanes>(a[r * a_stride + i]);
#pragma GCC unroll 4
      for (int v = 0; v < Vecs; ++v) sum[r][v] += x * w[v];
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) store<Lanes>(sums + (r * Vecs + v) * Lanes, sum[r][v]);
  }
}

template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void matmul_sums_of(int64_t height, const float* a, int64_t a_stride, int64_t in,
                                const float* panel, int64_t panel_stride, const Ahead& ahead, float* sums) {
  if constexpr (Rows > 0) {
    if (height == Rows) {
      matmul_sums<Lanes, Rows, Vecs>(a, a_stride, in, panel, panel_stride, ahead.from, ahead.step, sums);
    } else {
      matmul_sums_of<Lanes, Rows - 1, Vecs>(height, a, a_stride, in, panel, panel_stride, ahead, sums);
    }
  }
}

// What the sums of a tile still need, from row `row` and column `column` of the product on.
template <int Lanes, int Vecs>
ASAM_INLINE void matmul_finish(const float* sums, int64_t height, const Epilogue& epilogue, int64_t row,
                               int64_t column, int64_t out, float* c, int64_t c_stride) {
  for (int64_t r = 0; r < height; ++r) {
    const float* bias = epilogue.bias ? epilogue.bias + bias_row(epilogue, row + r) * out : nullptr;
    const float* residual = epilogue.residual ? epilogue.residual + (row + r) * c_stride : nullptr;
    for (int v = 0; v < Vecs; ++v) {
      const int64_t j = column + v * Lanes;
      if (j >= out) continue;
      Float<Lanes> x = load<Lanes>(sums + (r * Vecs + v) * Lanes);
      if (j + Lanes <= out) {
        if (bias) x += load<Lanes>(bias + j);
        if (residual) x += load<Lanes>(residual + j);
        if (epilogue.relu) x = max<Lanes>(Float<Lanes>{}, x);
        if (epilogue.gelu) x = gelu<Lanes>(x);
        store<Lanes>(c + r * c_stride + j, x);
      } else {
        const int64_t count = out - j;
        if (bias) x += load_part<Lanes>(bias + j, count);
        if (residual) x += load_part<Lanes>(residual + j, count);
        if (epilogue.relu) x = max<Lanes>(Float<Lanes>{}, x);
        if (epilogue.gelu) x = gelu<Lanes>(x);
        store_part<Lanes>(c + r * c_stride + j, x, count);
      }
    }
  }
}

// Columns `first` .. of a panel. Tiles of nearly equal heights: a last one of a row or two would wait for its
// own sums. next: the panel that follows, in part fetched by each tile.
template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void matmul_columns(const float* a, int64_t a_stride, int64_t rows, int64_t in,
                                const float* panel, int64_t panel_stride, const float* next, int64_t first,
                                const Epilogue& epilogue, int64_t column, int64_t out, float* c,
                                int64_t c_stride) {
  const int64_t tiles = (rows + Rows - 1) / Rows, parts = tiles * (panel_stride / (Vecs * Lanes));
  const int64_t step = panel_stride * static_cast<int64_t>(sizeof(float)) / parts;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = rows * t / tiles, height = rows * (t + 1) / tiles - row;
    const int64_t part = first / (Vecs * Lanes) * tiles + t;
    const Ahead ahead{reinterpret_cast<const char*>(next) + part * step * in, step};
    alignas(64) float sums[Rows * Vecs * Lanes];
    matmul_sums_of<Lanes, Rows, Vecs>(height, a + row * a_stride, a_stride, in, panel + first, panel_stride,
                                      ahead, sums);
    matmul_finish<Lanes, Vecs>(sums, height, epilogue, row, column + first, out, c + row * c_stride,
                               c_stride);
  }
}

// Rows and Vecs are chosen so that Rows * Vecs sums, Vecs weights and one broadcast fit the registers.
template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void matmul_kernel(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                               const Epilogue& epilogue, float* c, int64_t c_stride) {
  constexpr int64_t kWidth = Lanes * Vecs;
  constexpr int kNarrow = PackedMatrix::kPanelStep / Lanes;  // vectors in a narrow panel
  static_assert(PackedMatrix::kPanel % kWidth == 0);
  if (rows == 0) return;
  const int64_t in = w.in(), out = w.out();
  const float* panel = w.data();
  for (int64_t start = 0; start < out; start += w.panel()) {
    const int64_t left = out - start;
    const int64_t stride = left <= PackedMatrix::kPanelStep ? PackedMatrix::kPanelStep : w.panel();
    const float* next = w.ahead(panel + in * stride);
    if (kWidth > stride) {
      matmul_columns<Lanes, Rows, kNarrow>(a, a_stride, rows, in, panel, stride, next, 0, epilogue, start,
                                           out, c, c_stride);
    } else {
      for (int64_t j = 0; j < stride; j += kWidth) {
        matmul_columns<Lanes, Rows, Vecs>(a, a_stride, rows, in, panel, stride, next, j, epilogue, start, out,
                                          c, c_stride);
      }
    }
    panel += in * stride;
  }
}

}  // namespace asam::simd
