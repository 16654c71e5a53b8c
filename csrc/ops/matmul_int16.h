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
#include "ops/packed_groups.h"
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

// A weight matrix [in, out] of floats as 16-bit numbers, a scale a column.
class PackedInt16Matrix : public PackedGroups<int16_t, 2> {
 public:
  PackedInt16Matrix() = default;
  // Throws std::invalid_argument for more than kMostInt16Inputs.
  PackedInt16Matrix(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side);

  // As PackedMatrix::columns.
  Int16View columns(int64_t first, int64_t count) const {
    return {panels(first, count), scale_.data() + first};
  }
  operator Int16View() const { return columns(0, out()); }

 private:
  Buffer scale_;  // [padded columns]
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
