// Layer normalisation of rows in float32, for a product to take.
//
//   y[r] = f( (x[r] - mean) / sqrt(var + eps) * weight + bias ),   f = identity or GELU
// as float32, rounded to bfloat16, and rounded with something added: y[r] + plus[r mod plus_rows].
#pragma once

#include <cstdint>

#include "ops/bf16.h"

namespace asam {

// What is wanted of y [rows, n]; what is null is left out.
struct NormBf16Result {
  float* wide = nullptr;  // may be x
  Bf16* narrow = nullptr;
  const float* plus = nullptr;  // [plus_rows, n]
  int64_t plus_rows = 1;
  Bf16* narrow_plus = nullptr;  // y + plus
  bool gelu = false;
};

// inputs
//   x             [rows, n]
//   weight, bias  [n]
using LayerNormBf16Fn = void (*)(const float* x, int64_t rows, int64_t n, const float* weight,
                                 const float* bias, float eps, const NormBf16Result& y);

void layer_norm_bf16_ref(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias,
                         float eps, const NormBf16Result& y);

// The readable version wherever the instruction set has no better one.
LayerNormBf16Fn layer_norm_bf16_for(Isa isa);

}  // namespace asam
