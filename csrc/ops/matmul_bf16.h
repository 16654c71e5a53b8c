// Matrix product of bfloat16 numbers with float32 sums, packed weights and a fused epilogue.
//
//   c[r, j] = f( sum_i a[r, i] w[i, j] + bias[r mod bias_rows, j] + residual[r, j] ),
//   f = identity, ReLU or GELU; all after the products in float32
//
// Row r of the result depends on row r of a alone and is summed in one order, pair by pair: the same bits
// wherever the row stands in a batch.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "core/isa.h"
#include "ops/bf16.h"
#include "ops/buffer.h"
#include "ops/matmul.h"

namespace asam {

// A weight matrix [in, out], rounded to bfloat16, as the kernels read it: panels of kPanel columns; in a
// panel rows 2p and 2p + 1 as pairs, column by column. A last odd row is paired with zeros. The last panel is
// as wide as the remaining columns, rounded up to kPanelStep and filled with zeros.
class PackedBf16Matrix {
 public:
  static constexpr int64_t kPanel = 32;
  static constexpr int64_t kPanelStep = 16;
  using Columns = PackedMatrix::Columns;

  PackedBf16Matrix() = default;
  PackedBf16Matrix(int64_t in, std::initializer_list<Columns> side_by_side);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }

  // As PackedMatrix::columns.
  PackedView<Bf16> columns(int64_t first, int64_t count) const {
    const int64_t even = (in_ + 1) / 2 * 2;
    return {in_, count, kPanel, data_.data() + first * even, data_.data() + data_.size()};
  }
  operator PackedView<Bf16>() const { return columns(0, out_); }

 private:
  int64_t in_ = 0, out_ = 0;
  Bf16Buffer data_;
};

// Where the result goes: as float32, rounded to bfloat16, or both. A residual has wide_stride.
struct Bf16Result {
  float* wide = nullptr;  // [rows, out]
  int64_t wide_stride = 0;
  Bf16* narrow = nullptr;  // [rows, out]
  int64_t narrow_stride = 0;
};

// inputs
//   a    [rows, w.in], rows a_stride apart; any w.in, odd ones too
//   w    [w.in, w.out]
// outputs
//   c    must not overlap a
using MatmulBf16Fn = void (*)(const Bf16* a, int64_t a_stride, int64_t rows, const PackedView<Bf16>& w,
                              const Epilogue& epilogue, const Bf16Result& c);

void matmul_bf16_ref(const Bf16* a, int64_t a_stride, int64_t rows, const PackedView<Bf16>& w,
                     const Epilogue& epilogue, const Bf16Result& c);

// The readable version wherever the instruction set has no better one.
MatmulBf16Fn matmul_bf16_for(Isa isa);

}  // namespace asam
