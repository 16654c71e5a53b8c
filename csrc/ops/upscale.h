// From cells to logits without a map (identity 6 of docs/architecture.md).
//
// Two transposed convolutions whose kernel equals their stride: cell (y, x) alone makes its 4 x 4 logits,
//   u[dy0, dx0]           = gelu(norm(src[y, x] W0[dy0, dx0] + b0))    [C/4], LayerNorm2d over channels
//   t[dy0, dx0, dy1, dx1] = gelu(u[dy0, dx0] W1[dy1, dx1] + b1)        [C/8]
//   logits[m, 4y + 2 dy0 + dy1, 4x + 2 dx0 + dx1] = t . hyper[m]
#pragma once

#include <cstdint>

#include "ops/arithmetic.h"

namespace asam {

struct UpscaleWeights {
  Weight first, second;           // [C, 4 * C/4], [C/4, 4 * C/8], columns (dy, dx, channel)
  Buffer first_bias;              // [4 * C/4], the bias once for each (dy, dx)
  Buffer second_bias;             // [4 * C/8]
  Buffer norm_weight, norm_bias;  // [C/4]
};

// inputs
//   src      [grid * grid, C]
//   begin    .. end, the cells to make
//   hyper    [masks, C/8]
// outputs
//   logits   [masks, 4 * grid, 4 * grid], those of the cells
// scratch    upscale_scratch(C) floats: some cells at a time
void upscale_cells(const Arithmetic& ops, const UpscaleWeights& weights, int64_t grid, const float* src,
                   int64_t begin, int64_t end, const float* hyper, int64_t masks, float* logits,
                   float* scratch);

int64_t upscale_scratch(int64_t channels);

}  // namespace asam
