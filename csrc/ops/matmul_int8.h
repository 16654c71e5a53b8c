// Product of rows in 8 bits (ops/quantise_int8.h) with weights in 8 bits, a scale for each of its columns:
//
//   c[r, j] = f( scale[r] w_scale[j] sum_i (a[r, i] - zero[r]) w[i, j] + bias[r mod bias_rows, j]
//                + residual[r, j] ),   f = identity, ReLU or GELU
//
// Sums are integers and exact; the rest is float32.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "ops/matmul.h"
#include "ops/packed_groups.h"
#include "ops/quantise_int8.h"

namespace asam {

// Rows that a product takes.
struct Int8RowsView {
  const uint8_t* values;  // [rows, in], rows `stride` apart, each readable up to a whole group
  int64_t stride;
  const float* scale;   // [rows]
  const int32_t* zero;  // [rows]
};

// What one product multiplies by. It owns nothing.
struct Int8View {
  PackedView<int8_t> panels;
  const float* scale;   // [out]
  const int32_t* sums;  // [out], of each column
};

// A weight matrix [in, out] of floats as 8-bit numbers, -127 .. 127 times the column's scale.
class PackedInt8Matrix : public PackedGroups<int8_t, 4> {
 public:
  static constexpr int64_t kMostInputs = 1 << 16;  // a sum of more might not fit 32 bits

  PackedInt8Matrix() = default;
  // Throws std::invalid_argument for more than kMostInputs.
  PackedInt8Matrix(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side);

  // As PackedMatrix::columns.
  Int8View columns(int64_t first, int64_t count) const {
    return {panels(first, count), scale_.data() + first, sums_.data() + first};
  }
  operator Int8View() const { return columns(0, out()); }

 private:
  Buffer scale_;  // [padded columns]
  BufferOf<int32_t> sums_;
};

// outputs
//   c    must not overlap a
using MatmulInt8Fn = void (*)(const Int8RowsView& a, int64_t rows, const Int8View& w,
                              const Epilogue& epilogue, float* c, int64_t c_stride);

void matmul_int8_ref(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                     float* c, int64_t c_stride);

// The readable version wherever the instruction set has no better one.
MatmulInt8Fn matmul_int8_for(Isa isa);

}  // namespace asam
