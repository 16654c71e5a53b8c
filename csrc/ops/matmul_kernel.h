// Register-tiled matrix product, one source for every vector width and every kind of number. Rules of
// ops/simd.h apply.
#pragma once

#include "ops/gelu_kernel.h"
#include "ops/matmul.h"
#include "ops/simd.h"

namespace asam::simd {

// Rows times packed weights.
//
// Numbers says what is multiplied, and with which instruction:
//   Number                   of the rows; Number::kGroup neighbouring ones take four bytes
//   Weight                   of the matrix, packed in panels: in each of them a group of inputs side by side,
//                            column by column, then the next one
//   Vector                   kLanes sums, or kLanes groups of weights
//   add(sum, x, w)           sum + the products of a group; x has the row's in every lane
//   value(sum, row, column)  the floats that kLanes sums stand for
// and, where groups of a row are cheaper to load several at a time:
//   kTogether                how many
//   Several, several(p)      these of a row, from memory
//   add(sum, x, t, w)        as above, of group t of x
template <class Numbers>
struct Product {
  const typename Numbers::Number* a;  // rows a_stride apart, each readable up to a whole group
  int64_t a_stride;
  const PackedView<typename Numbers::Weight>& w;
  Numbers numbers;
  const Epilogue& epilogue;
  float* c;  // rows c_stride apart
  int64_t c_stride;

  static constexpr int64_t kGroup = 4 / sizeof(typename Numbers::Number);

  ASAM_INLINE int64_t groups() const { return (w.in() + kGroup - 1) / kGroup; }
};

// A part of the next panel, fetched while this one is multiplied by: `step` bytes from `from` on for each
// group.
struct Ahead {
  const char* from;
  int64_t step;
};

template <class Vector>
ASAM_INLINE Vector load_vector(const void* p) {
  Vector v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

// Four bytes in every lane.
template <class Vector>
ASAM_INLINE Vector splat_group(const void* p) {
  decltype(Vector{}[0] + Vector{}[0]) bits;
  static_assert(sizeof bits == 4);
  __builtin_memcpy(&bits, p, sizeof bits);
  return bits - Vector{};
}

// The sums of one tile, `Rows` rows by `Vecs` vectors of columns, row by row. panel points at its first
// column, its groups panel_stride apart. A function of its own, so that the sums have all registers to
// themselves; internal, so that it stays in the file whose instruction set it is compiled for.
template <class Numbers, int Rows, int Vecs>
[[gnu::noinline]] static void tile_sums(const typename Numbers::Number* a, int64_t a_stride, int64_t groups,
                                        const typename Numbers::Weight* panel, int64_t panel_stride,
                                        const char* ahead, int64_t ahead_step,
                                        typename Numbers::Vector* sums) {
  using Vector = typename Numbers::Vector;
  constexpr int64_t kGroup = Product<Numbers>::kGroup;
  Vector sum[Rows][Vecs] = {};
  int64_t g = 0;
  if constexpr (requires { Numbers::kTogether; }) {
    for (; g + Numbers::kTogether <= groups; g += Numbers::kTogether) {
      typename Numbers::Several x[Rows];
#pragma GCC unroll 16
      for (int r = 0; r < Rows; ++r) x[r] = Numbers::several(a + r * a_stride + g * kGroup);
#pragma GCC unroll 4
      for (int t = 0; t < Numbers::kTogether; ++t, panel += panel_stride, ahead += ahead_step) {
        __builtin_prefetch(ahead);
        asm volatile(
            "" ::
                : "memory");  // else weights of all groups are loaded first, and sums leave registers
        Vector w[Vecs];
#pragma GCC unroll 4
        for (int v = 0; v < Vecs; ++v) w[v] = load_vector<Vector>(panel + v * Numbers::kLanes * kGroup);
#pragma GCC unroll 16
        for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
          for (int v = 0; v < Vecs; ++v) sum[r][v] = Numbers::add(sum[r][v], x[r], t, w[v]);
        }
      }
    }
  }
  for (; g < groups; ++g, panel += panel_stride, ahead += ahead_step) {
    __builtin_prefetch(ahead);
    Vector w[Vecs];
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) w[v] = load_vector<Vector>(panel + v * Numbers::kLanes * kGroup);
#pragma GCC unroll 16
    for (int r = 0; r < Rows; ++r) {
      const Vector x = splat_group<Vector>(a + r * a_stride + g * kGroup);
#pragma GCC unroll 4
      for (int v = 0; v < Vecs; ++v) sum[r][v] = Numbers::add(sum[r][v], x, w[v]);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < Rows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < Vecs; ++v) sums[r * Vecs + v] = sum[r][v];
  }
}

// The same for a height that is known when it runs.
template <class Numbers, int Rows, int Vecs>
ASAM_INLINE void tile_sums_of(int64_t height, const typename Numbers::Number* a, int64_t a_stride,
                              int64_t groups, const typename Numbers::Weight* panel, int64_t panel_stride,
                              const Ahead& ahead, typename Numbers::Vector* sums) {
  if constexpr (Rows > 0) {
    if (height == Rows) {
      tile_sums<Numbers, Rows, Vecs>(a, a_stride, groups, panel, panel_stride, ahead.from, ahead.step, sums);
    } else {
      tile_sums_of<Numbers, Rows - 1, Vecs>(height, a, a_stride, groups, panel, panel_stride, ahead, sums);
    }
  }
}

// What the sums of a tile still need, from row `row` and column `column` on.
template <int Vecs, class Numbers>
ASAM_INLINE void finish_tile(const typename Numbers::Vector* sums, int64_t height,
                             const Product<Numbers>& product, int64_t row, int64_t column) {
  constexpr int kLanes = Numbers::kLanes;
  const Epilogue& epilogue = product.epilogue;
  const int64_t out = product.w.out(), biased = bias_columns(epilogue, out);
  for (int64_t r = row; r < row + height; ++r, sums += Vecs) {
    const float* bias = epilogue.bias + bias_row(epilogue, r) * biased;
    const float* residual = epilogue.residual ? epilogue.residual + r * product.c_stride : nullptr;
    float* c = product.c + r * product.c_stride;
    for (int v = 0; v < Vecs; ++v) {
      const int64_t j = column + v * kLanes;
      if (j >= out) continue;
      Float<kLanes> x = product.numbers.value(sums[v], r, j);
      if (j + kLanes <= biased) {
        x += load<kLanes>(bias + j);
      } else if (j < biased) {
        x += load_part<kLanes>(bias + j, biased - j);
      }
      if (j + kLanes <= out) {
        if (residual) x += load<kLanes>(residual + j);
        if (epilogue.relu) x = max<kLanes>(Float<kLanes>{}, x);
        if (epilogue.gelu) x = gelu<kLanes>(x);
        store<kLanes>(c + j, x);
      } else {
        const int64_t count = out - j;
        if (residual) x += load_part<kLanes>(residual + j, count);
        if (epilogue.relu) x = max<kLanes>(Float<kLanes>{}, x);
        if (epilogue.gelu) x = gelu<kLanes>(x);
        store_part<kLanes>(c + j, x, count);
      }
    }
  }
}

// Columns `first` .. of a panel that starts at column `start`. Tiles of nearly equal heights: a last one of a
// row or two would wait for its own sums. next: the panel that follows, in part fetched by each tile.
template <int Rows, int Vecs, class Numbers>
ASAM_INLINE void panel_columns(const Product<Numbers>& product, int64_t rows,
                               const typename Numbers::Weight* panel, int64_t panel_stride,
                               const typename Numbers::Weight* next, int64_t start, int64_t first) {
  constexpr int64_t kWidth = Vecs * Numbers::kLanes, kGroup = Product<Numbers>::kGroup;
  const int64_t tiles = (rows + Rows - 1) / Rows, parts = tiles * (panel_stride / (kWidth * kGroup));
  const int64_t step = panel_stride * static_cast<int64_t>(sizeof(*panel)) / parts;
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = rows * t / tiles, height = rows * (t + 1) / tiles - row;
    const int64_t part = first / kWidth * tiles + t;
    const Ahead ahead{reinterpret_cast<const char*>(next) + part * step * product.groups(), step};
    typename Numbers::Vector sums[Rows * Vecs];
    tile_sums_of<Numbers, Rows, Vecs>(height, product.a + row * product.a_stride, product.a_stride,
                                      product.groups(), panel + first * kGroup, panel_stride, ahead, sums);
    finish_tile<Vecs>(sums, height, product, row, start + first);
  }
}

// Rows and Vecs are chosen so that Rows * Vecs sums, Vecs weights and one broadcast fit the registers.
template <int Rows, int Vecs, class Numbers>
ASAM_INLINE void matmul_kernel(const Product<Numbers>& product, int64_t rows) {
  constexpr int64_t kWidth = Numbers::kLanes * Vecs, kGroup = Product<Numbers>::kGroup;
  constexpr int64_t kStep = PackedMatrix::kPanelStep;
  constexpr int kNarrow = kStep / Numbers::kLanes;  // vectors in a narrow panel
  static_assert(PackedMatrix::kPanel % kWidth == 0);
  if (rows == 0) return;
  const PackedView<typename Numbers::Weight>& w = product.w;
  const auto* panel = w.data();
  for (int64_t start = 0; start < w.out(); start += w.panel()) {
    const int64_t width = w.out() - start <= kStep ? kStep : w.panel(), stride = width * kGroup;
    const auto* next = w.ahead(panel + product.groups() * stride);
    if (kWidth > width) {
      panel_columns<Rows, kNarrow>(product, rows, panel, stride, next, start, 0);
    } else {
      for (int64_t j = 0; j < width; j += kWidth) {
        panel_columns<Rows, Vecs>(product, rows, panel, stride, next, start, j);
      }
    }
    panel += product.groups() * stride;
  }
}

template <int Lanes>
struct Floats {
  using Number = float;
  using Weight = float;
  using Vector = Float<Lanes>;
  static constexpr int kLanes = Lanes;

  ASAM_INLINE static Vector add(Vector sum, Vector x, Vector w) { return sum + x * w; }
  ASAM_INLINE Vector value(Vector sum, int64_t, int64_t) const { return sum; }
};

template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void matmul_floats(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                               const Epilogue& epilogue, float* c, int64_t c_stride) {
  matmul_kernel<Rows, Vecs>(Product<Floats<Lanes>>{a, a_stride, w, {}, epilogue, c, c_stride}, rows);
}

}  // namespace asam::simd
