// Rows of numbers in 16 bits, each with a scale of its own:
//
//   x[i] ~ scale y[i],   |y[i]| <= 32767,   sum_i y[i]^2 < 2^31
//
// As the second holds for columns of weights too, no sum of their products can leave 32 bits
// (Cauchy-Schwarz), nor can any part of one: products of such numbers are exact.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "ops/quantise_int8.h"

namespace asam {

inline constexpr int64_t kMostInt16Inputs = 1 << 16;

inline constexpr float kInt16Most = 32767.0f;

// Norm that a row of n may have in levels. That of rounded ones may be sqrt(2^31) = 46,340.9, of which
// rounding takes up to sqrt(n) / 2, and float32 up to 1 in 1,000.
[[gnu::always_inline]] inline float int16_norm(float n) {
  return 46290.0f - 0.5f * __builtin_sqrtf(n);
}

// Scale of a row of n, given its largest number, by size, and its norm.
[[gnu::always_inline]] inline float int16_scale(float largest, float norm, float n) {
  const float by_size = largest * (1.0f / kInt16Most), by_norm = norm / int16_norm(n);
  return by_size > by_norm ? by_size : by_norm;
}

// inputs
//   x      [rows, n], rows x_stride apart; n <= kMostInt16Inputs
// outputs
//   y      [rows, n], rows y_stride apart
//   scale  [rows], 1 for a row of zeros or of numbers below kLeastRange, NaN for one that holds NaN or
//          infinity: what is multiplied by it is NaN then, as of other products
using QuantiseInt16Fn = void (*)(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                                 int64_t y_stride, float* scale);

void quantise_int16_ref(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                        int64_t y_stride, float* scale);

// The readable version wherever the instruction set has no better one.
QuantiseInt16Fn quantise_int16_for(Isa isa);

}  // namespace asam
