// Tiles of matrix products whose instruction adds up a group of neighbouring inputs, for AVX-512: what
// products in 8 and 16 bits share. Rules of ops/simd.h apply.
#pragma once

#include "ops/avx512_simd.h"
#include "ops/gelu_kernel.h"
#include "ops/matmul.h"

namespace asam::dot_groups {

constexpr int kMostRows = 12;  // 12 x 2 sums, 2 weights and a broadcast fit the 32 registers

// A product of rows, each readable up to a whole group, with packed weights: see
// ops/packed_groups.h.
//
// Numbers says what is multiplied:
//   Row                       a number of a row; a group of them is four bytes
//   Matrix                    the weights, a PackedGroups
//   add(sum, x, w)            sum + the products of a group; x has the row's in every lane
//   scaled(sum, row, column)  what 16 sums stand for
template <class Numbers>
struct Product {
  const typename Numbers::Row* rows;  // row_stride apart
  int64_t row_stride;
  const PackedView<typename Numbers::Matrix::Number>& w;
  Numbers numbers;
  const Epilogue& epilogue;
  float* c;
  int64_t c_stride;

  ASAM_INLINE int64_t groups() const {
    return (w.in() + Numbers::Matrix::kGroup - 1) / Numbers::Matrix::kGroup;
  }

  // Vecs sums of 16 columns, from `column` on.
  template <int Vecs>
  ASAM_INLINE void finish(const __m512i* sums, int64_t row, int64_t column) const {
    const float* bias = epilogue.bias ? epilogue.bias + bias_row(epilogue, row) * w.out() : nullptr;
    const float* residual = epilogue.residual ? epilogue.residual + row * c_stride : nullptr;
    float* to = c + row * c_stride;
    for (int v = 0; v < Vecs; ++v, column += 16) {
      const int64_t left = w.out() - column;
      if (left <= 0) return;
      simd::Float<16> x = numbers.scaled(sums[v], row, column);
      if (bias) x += simd::load_first(bias + column, left);
      if (residual) x += simd::load_first(residual + column, left);
      if (epilogue.relu) x = simd::max<16>(simd::Float<16>{}, x);
      if (epilogue.gelu) x = simd::gelu<16>(x);
      simd::store_first(to + column, x, left);
    }
  }
};

// A part of the next panel, fetched while this one is multiplied by: `step` bytes from `from` on for each
// group.
struct Ahead {
  const char* from;
  int64_t step;
};

// A group of a row in every lane.
ASAM_INLINE __m512i splat(const void* p) {
  int32_t bits;
  __builtin_memcpy(&bits, p, sizeof bits);
  return _mm512_set1_epi32(bits);
}

// One tile: Rows rows by Vecs vectors of columns, from `row` and `column` on.
template <int Rows, int Vecs, class Numbers>
ASAM_INLINE void tile(const Product<Numbers>& product, const typename Numbers::Matrix::Number* panel,
                      const Ahead& ahead, int64_t row, int64_t column) {
  constexpr int64_t kGroup = Numbers::Matrix::kGroup, kVector = 16 * kGroup;
  const auto* a = product.rows + row * product.row_stride;
  const int64_t stride = product.row_stride;
  const int64_t groups = product.groups();
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
    for (int v = 0; v < Vecs; ++v) w[v] = _mm512_loadu_si512(panel + (g * Vecs + v) * kVector);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const __m512i x = splat(a + r * stride + g * kGroup);
#pragma GCC unroll 2
      for (int v = 0; v < Vecs; ++v) sum[r][v] = Numbers::add(sum[r][v], x, w[v]);
    }
  }
  // Out of the registers first: the epilogue is then one small loop and not one a sum.
  alignas(64) __m512i sums[Rows][Vecs];
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 2
    for (int v = 0; v < Vecs; ++v) sums[r][v] = sum[r][v];
  }
  for (int r = 0; r < Rows; ++r) product.template finish<Vecs>(sums[r], row + r, column);
}

template <int Rows, int Vecs, class Numbers>
void one_tile(int64_t height, const Product<Numbers>& product, const typename Numbers::Matrix::Number* panel,
              const Ahead& ahead, int64_t row, int64_t column) {
  if constexpr (Rows > 0) {
    if (height == Rows) {
      tile<Rows, Vecs>(product, panel, ahead, row, column);
    } else {
      one_tile<Rows - 1, Vecs>(height, product, panel, ahead, row, column);
    }
  }
}

// Tiles of nearly equal heights: a last one of a row or two would wait for its own sums. Each fetches a part
// of the panel that follows.
template <int Vecs, class Numbers>
void columns(const Product<Numbers>& product, int64_t rows, const typename Numbers::Matrix::Number* panel,
             int64_t column) {
  const int64_t groups = product.groups();
  const auto* next =
      reinterpret_cast<const char*>(product.w.ahead(panel + groups * Vecs * 16 * Numbers::Matrix::kGroup));
  const int64_t tiles = (rows + kMostRows - 1) / kMostRows, step = Vecs * 64 / tiles;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = rows * t / tiles, height = rows * (t + 1) / tiles - row;
    one_tile<kMostRows, Vecs>(height, product, panel, {next + t * step * groups, step}, row, column);
  }
}

template <class Numbers>
ASAM_INLINE void run(const Product<Numbers>& product, int64_t rows) {
  if (rows == 0) return;
  using Matrix = typename Numbers::Matrix;
  const int64_t padded = product.groups() * Matrix::kGroup;
  for (int64_t start = 0; start < product.w.out(); start += Matrix::kPanel) {
    const auto* panel = product.w.data() + start * padded;
    if (product.w.out() - start <= Matrix::kPanelStep) {
      columns<1>(product, rows, panel, start);
    } else {
      columns<2>(product, rows, panel, start);
    }
  }
}

}  // namespace asam::dot_groups
