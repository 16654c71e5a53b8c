// 3 x 3 convolution of every channel by itself, one row of the grid at a time, channels last.
//
//   y[i, c] = bias[c] + sum_{t, u} weight[3 t + u, c] rows[t][stride i + u - 1, c],   t, u = 0 .. 2
//
// Cells beyond the grid are zero.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace asam {

struct DepthwiseShape {
  int64_t wide = 0;      // cells of a row that is read
  int64_t channels = 0;  // c
  int64_t stride = 1;

  int64_t out_wide() const { return (wide - 1) / stride + 1; }
};

// inputs
//   rows    the row above, the row itself and the row below, [wide, c] each; null beyond the grid
//   weight  [9, c]
//   bias    [c]
// outputs
//   y       [out_wide, c]; must not overlap the inputs
using DepthwiseFn = void (*)(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                             const float* bias, float* y);

void depthwise_ref(const DepthwiseShape& shape, const float* const rows[3], const float* weight,
                   const float* bias, float* y);

// The version for an instruction set, or the best below it.
DepthwiseFn depthwise_for(Isa isa);

}  // namespace asam
