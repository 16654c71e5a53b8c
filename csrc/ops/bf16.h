// bfloat16: the upper half of a float32. Products take it; sums, norms and softmax stay in float32.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace asam {

using Bf16 = uint16_t;

// y = x rounded to the nearest bfloat16, ties to even; NaN stays NaN.
// The AVX512-BF16 version takes subnormal numbers for zero, as that instruction does.
//
// inputs
//   x  [count]
// outputs
//   y  [count]
using ToBf16Fn = void (*)(const float* x, int64_t count, Bf16* y);

void to_bf16_ref(const float* x, int64_t count, Bf16* y);

// The readable version wherever the instruction set has no better one.
ToBf16Fn to_bf16_for(Isa isa);

// Exact.
inline float from_bf16(Bf16 x) {
  const uint32_t bits = static_cast<uint32_t>(x) << 16;
  float out;
  __builtin_memcpy(&out, &bits, sizeof out);
  return out;
}

}  // namespace asam
