// Rows to 8 bits, one source for every vector width. Rules of ops/simd.h apply.
#pragma once

#include "ops/quantise_int8.h"
#include "ops/simd.h"

namespace asam::simd {

// Smallest and largest number of a row and 0; finite: 0, or NaN.
struct RowEnds {
  float low, high, finite;
};

// Machine is what the instruction set has of its own:
//   kLanes                      floats in a vector
//   load_first(p, count)        the first `count` lanes from memory, all for kLanes and more, the others zero
//   largest(v), sum(v)          over the lanes
//   put(y, v, zero, count)      the first `count` lanes, rounded, plus zero, kept within a byte, to y
template <class Machine>
ASAM_INLINE RowEnds row_ends(const float* x, int64_t n) {
  using F = Float<Machine::kLanes>;
  F lows{}, highs{}, spoiled{};
  for (int64_t i = 0; i < n; i += Machine::kLanes) {
    const F v = Machine::load_first(x + i, n - i);
    lows = min<Machine::kLanes>(lows, v);
    highs = max<Machine::kLanes>(highs, v);
    spoiled += v * 0.0f;
  }
  return {-Machine::largest(-lows), Machine::largest(highs), Machine::sum(spoiled)};
}

template <class Machine>
ASAM_INLINE void round_bytes(const float* x, int64_t n, const RowEnds& ends, uint8_t* y, float* scale,
                             int32_t* zero) {
  if (ends.finite != 0.0f) {  // NaN
    __builtin_memset(y, 0, static_cast<size_t>(n));
    *scale = __builtin_nanf("");
    *zero = 0;
    return;
  }
  const float range = ends.high - ends.low, steps = range > kLeastRange ? 255.0f / range : 0.0f;
  *scale = range > kLeastRange ? range / 255.0f : 1.0f;
  *zero = static_cast<int32_t>(__builtin_nearbyintf(-ends.low * steps));
  for (int64_t i = 0; i < n; i += Machine::kLanes) {
    const auto v = Machine::load_first(x + i, n - i) * splat<Machine::kLanes>(steps);
    Machine::put(y + i, v, *zero, n - i);
  }
}

template <class Machine>
ASAM_INLINE void quantise_bytes(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                                int64_t y_stride, float* scale, int32_t* zero) {
  constexpr int64_t kTogether = 8;  // so that one's ends are on their way while the next is read
  for (int64_t first = 0; first < rows; first += kTogether) {
    const int64_t end = first + kTogether < rows ? first + kTogether : rows;
    RowEnds ends[kTogether];
    for (int64_t r = first; r < end; ++r) ends[r - first] = row_ends<Machine>(x + r * x_stride, n);
    for (int64_t r = first; r < end; ++r) {
      round_bytes<Machine>(x + r * x_stride, n, ends[r - first], y + r * y_stride, scale + r, zero + r);
    }
  }
}

}  // namespace asam::simd
