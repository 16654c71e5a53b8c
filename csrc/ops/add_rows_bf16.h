// A row added to rows, for a product to take.
//
//   y[r, i] = bf16( f( x[r, i] + row[r mod row_count, i] ) ),   f = identity or ReLU
#pragma once

#include <cstdint>

#include "ops/bf16.h"

namespace asam {

// inputs
//   x    [rows, n]
//   row  [row_count, n]
// outputs
//   y    [rows, n]
using AddRowsBf16Fn = void (*)(const float* x, int64_t rows, int64_t n, const float* row, int64_t row_count,
                               bool relu, Bf16* y);

void add_rows_bf16_ref(const float* x, int64_t rows, int64_t n, const float* row, int64_t row_count,
                       bool relu, Bf16* y);

// The readable version wherever the instruction set has no better one.
AddRowsBf16Fn add_rows_bf16_for(Isa isa);

}  // namespace asam
