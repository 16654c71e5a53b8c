// Rows of numbers in 8 bits, each with a scale and a zero of its own:
//
//   x[i] ~ scale (y[i] - zero),   scale = (max(x, 0) - min(x, 0)) / 255;   0 is kept exactly
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace asam {

inline constexpr float kLeastRange = 1e-30f;  // of a row that is not taken for zeros

// inputs
//   x      [rows, n], rows x_stride apart
// outputs
//   y      [rows, n], rows y_stride apart
//   scale  [rows], 1 for a row of zeros or of numbers so small that 255 / range overflows, NaN for one that
//          holds NaN or infinity: what is multiplied by it is NaN then, as of other products
//   zero   [rows], 0 .. 255
// Every version gives the same bits.
using QuantiseInt8Fn = void (*)(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                                int64_t y_stride, float* scale, int32_t* zero);

void quantise_int8_ref(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                       int64_t y_stride, float* scale, int32_t* zero);

// The readable version wherever the instruction set has no better one.
QuantiseInt8Fn quantise_int8_for(Isa isa);

}  // namespace asam
