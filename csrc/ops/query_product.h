// The queries of an attention in the lanes: how they get there and back, and products with them, scores of
// keys and mixtures of values. Rules of ops/simd.h apply.
#pragma once

#include "ops/simd.h"

namespace asam::simd {

// Widest block of queries, two of the widest vectors: scratch is made for it.
inline constexpr int64_t kQueryStep = 32;

// to [dim, width] = rows [count, dim] the other way round. Lanes past the end repeat the first row: finite
// numbers that nobody reads.
ASAM_INLINE void rows_to_lanes(const float* rows, int64_t stride, int64_t count, int64_t dim, int64_t width,
                               float* to) {
  for (int64_t lane = 0; lane < width; ++lane) {
    const float* row = rows + (lane < count ? lane : 0) * stride;
    for (int64_t c = 0; c < dim; ++c) to[c * width + lane] = row[c];
  }
}

// rows [count, dim] = from [dim, width] the other way round.
ASAM_INLINE void lanes_to_rows(const float* from, int64_t width, int64_t count, int64_t dim, float* rows,
                               int64_t stride) {
  for (int64_t lane = 0; lane < count; ++lane) {
    for (int64_t c = 0; c < dim; ++c) rows[lane * stride + c] = from[c * width + lane];
  }
}

// to[r, :] = factor * sum_i a[r * row_stride + i * column_stride] b[i, :] for `Rows` rows, `Vecs` vectors
// wide.
template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void query_tile(const float* a, int64_t row_stride, int64_t column_stride, int64_t in,
                            const float* b, int64_t width, float factor, float* to) {
  Float<Lanes> sum[Rows][Vecs] = {};
  for (int64_t i = 0; i < in; ++i) {
    Float<Lanes> y[Vecs];
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) y[v] = load<Lanes>(b + i * width + v * Lanes);
#pragma GCC unroll 12
    for (int r = 0; r < Rows; ++r) {
      const Float<Lanes> x = splat<Lanes>(a[r * row_stride + i * column_stride]);
#pragma GCC unroll 2
      for (int v = 0; v < Vecs; ++v) sum[r][v] += x * y[v];
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) store<Lanes>(to + r * width + v * Lanes, sum[r][v] * factor);
  }
}

template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void query_tail(int64_t left, const float* a, int64_t row_stride, int64_t column_stride,
                            int64_t in, const float* b, int64_t width, float factor, float* to) {
  if constexpr (Rows > 0) {
    if (left == Rows) {
      query_tile<Lanes, Rows, Vecs>(a, row_stride, column_stride, in, b, width, factor, to);
    } else {
      query_tail<Lanes, Rows - 1, Vecs>(left, a, row_stride, column_stride, in, b, width, factor, to);
    }
  }
}

// to [rows, width] = factor * a [rows, in] b [in, width], width a multiple of `Vecs` vectors. Each result is
// summed over i = 0, 1, ... whatever its tile.
template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void query_product(const float* a, int64_t rows, int64_t row_stride, int64_t column_stride,
                               int64_t in, const float* b, int64_t width, float factor, float* to) {
  for (int64_t column = 0; column < width; column += Vecs * Lanes) {
    int64_t row = 0;
    for (; row + Rows <= rows; row += Rows) {
      query_tile<Lanes, Rows, Vecs>(a + row * row_stride, row_stride, column_stride, in, b + column, width,
                                    factor, to + row * width + column);
    }
    query_tail<Lanes, Rows - 1, Vecs>(rows - row, a + row * row_stride, row_stride, column_stride, in,
                                      b + column, width, factor, to + row * width + column);
  }
}

}  // namespace asam::simd
