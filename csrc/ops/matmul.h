// Matrix product with packed weights and a fused epilogue.
//
//   c[r, j] = f( sum_i a[r, i] w[i, j] + bias[r mod bias_rows, j] + residual[r, j] ),   f = identity, ReLU or
//   GELU
//
// Row r of the result depends on row r of a alone and is summed in one order, i = 0, 1, ...: the same bits
// wherever the row stands in a batch.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/isa.h"
#include "ops/buffer.h"

namespace asam {

// Whole panels of a packed matrix: what one product multiplies by. It owns nothing.
template <class T>
class PackedView {
 public:
  PackedView(int64_t in, int64_t out, int64_t panel, const T* data, const T* end)
      : in_(in), out_(out), panel_(panel), data_(data), end_(end) {}

  // Inlined into files of every instruction set, at -O0 too: one copy of a function would serve them all.
  [[gnu::always_inline]] int64_t in() const { return in_; }
  [[gnu::always_inline]] int64_t out() const { return out_; }
  // Columns of a panel, but for a narrower last one.
  [[gnu::always_inline]] int64_t panel() const { return panel_; }
  [[gnu::always_inline]] const T* data() const { return data_; }
  // What follows the panel that ends at `next`, to be fetched ahead; `next` lies within the matrix or at its
  // end.
  [[gnu::always_inline]] const T* ahead(const T* next) const { return next < end_ ? next : data_; }

 private:
  int64_t in_, out_, panel_;
  const T* data_;
  const T* end_;  // of the whole matrix
};

// Columns of a panel that the version for an instruction set reads in one pass.
int64_t matmul_panel(Isa isa);

// A weight matrix [in, out] of floats as the kernels read it: panels of kPanel or kPanelStep columns, each
// row by row. The last panel is as wide as the remaining columns, rounded up to kPanelStep and filled with
// zeros. Every version reads both widths.
class PackedMatrix {
 public:
  static constexpr int64_t kPanel = 32;
  static constexpr int64_t kPanelStep = 16;

  // Columns [in, out] of one row-major matrix.
  struct Columns {
    const float* weight;
    int64_t out;
  };

  PackedMatrix() = default;
  PackedMatrix(int64_t in, std::initializer_list<Columns> side_by_side,
               int64_t panel = matmul_panel(active_isa()));

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }

  // Columns first .. first + count - 1: first a multiple of kPanel, count too unless they reach to the last
  // one.
  PackedView<float> columns(int64_t first, int64_t count) const {
    return {in_, count, panel_, data_.data() + first * in_, data_.data() + data_.size()};
  }
  operator PackedView<float>() const { return columns(0, out_); }

 private:
  int64_t in_ = 0, out_ = 0, panel_ = kPanel;
  Buffer data_;
};

struct Epilogue {
  const float* bias = nullptr;  // [bias_rows, bias_columns], or null
  int64_t bias_rows = 1;
  int64_t bias_columns = 0;         // 0: out; else the first ones have a bias, the others none
  const float* residual = nullptr;  // [rows, out] with c's stride, may be c itself, or null
  bool relu = false;                // at most one of the two
  bool gelu = false;                // exact, as in ops/gelu.h
};

// Columns of a result [.., out] that have a bias.
[[gnu::always_inline]] inline int64_t bias_columns(const Epilogue& epilogue, int64_t out) {
  if (!epilogue.bias) return 0;
  return epilogue.bias_columns > 0 ? epilogue.bias_columns : out;
}

// The row of the bias that row `row` takes, mostly without a division.
[[gnu::always_inline]] inline int64_t bias_row(const Epilogue& epilogue, int64_t row) {
  if (epilogue.bias_rows == 1) return 0;
  return row < epilogue.bias_rows ? row : row % epilogue.bias_rows;
}

// inputs
//   a    [rows, w.in], rows a_stride apart
//   w    [w.in, w.out]
// outputs
//   c    [rows, w.out], rows c_stride apart; must not overlap a
using MatmulFn = void (*)(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                          const Epilogue& epilogue, float* c, int64_t c_stride);

void matmul_ref(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                const Epilogue& epilogue, float* c, int64_t c_stride);

// The version for an instruction set, or the best below it.
MatmulFn matmul_for(Isa isa);

}  // namespace asam
