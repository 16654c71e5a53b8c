// Product of rows in 16 bits with weights in 16 bits (ops/quantise_int16.h), a scale for each row and column:
//
//   c[r, j] = f( scale[r] w_scale[j] sum_i a[r, i] w[i, j] + bias[r mod bias_rows, j] + residual[r, j] ),
//   f = identity, ReLU or GELU
//
// Sums are integers and exact; the rest is float32. Twice as fast as float32, as bfloat16 is, and nearer to
// it: of 256 numbers of the usual sizes the largest keep 14 bits, where bfloat16 has 8.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "ops/matmul.h"
#include "ops/quantise_int16.h"

namespace asam {

// Rows that a product takes.
struct Int16RowsView {
  const int16_t* values;  // [rows, in], rows `stride` apart, each readable up to a whole pair
  int64_t stride;
  const float* scale;  // [rows]
};

// What one product multiplies by. It owns nothing.
struct Int16View {
  PackedView<int16_t> panels;
  const float* scale;  // [out]
};

// A weight matrix [in, out] of floats as 16-bit numbers, a scale a column: panels of kPanel columns; in a
// panel inputs 2p and 2p + 1 as pairs, column by column. A last odd one is paired with zeros. The last panel
// is as wide as the remaining columns, rounded up to kPanelStep and filled with zeros.
class PackedInt16Matrix {
 public:
  static constexpr int64_t kPanel = 32;
  static constexpr int64_t kPanelStep = 16;
  static constexpr int64_t kGroup = 2;

  PackedInt16Matrix() = default;
  // Throws std::invalid_argument for more than kMostInt16Inputs.
  PackedInt16Matrix(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }

  // in, rounded up to whole pairs.
  [[gnu::always_inline]] static int64_t padded(int64_t in) { return (in + kGroup - 1) / kGroup * kGroup; }

  // As PackedMatrix::columns.
  Int16View columns(int64_t first, int64_t count) const {
    const int16_t* data = data_.data();
    return {{in_, count, kPanel, data + first * padded(in_), data + data_.size()}, scale_.data() + first};
  }
  operator Int16View() const { return columns(0, out_); }

 private:
  int64_t in_ = 0, out_ = 0;
  BufferOf<int16_t> data_;
  Buffer scale_;  // [out], rounded up to kPanelStep
};

// outputs
//   c    must not overlap a
using MatmulInt16Fn = void (*)(const Int16RowsView& a, int64_t rows, const Int16View& w,
                               const Epilogue& epilogue, float* c, int64_t c_stride);

void matmul_int16_ref(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                      float* c, int64_t c_stride);

// The readable version wherever the instruction set has no better one.
MatmulInt16Fn matmul_int16_for(Isa isa);

}  // namespace asam
