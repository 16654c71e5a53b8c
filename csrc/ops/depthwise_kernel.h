// Channels in the lanes: a vector's nine weights stay in registers while a row passes. Rules of ops/simd.h
// apply.
#pragma once

#include "ops/depthwise.h"
#include "ops/simd.h"

namespace asam::simd {

// Channels c .. c + count - 1, a whole vector of them or what is left.
template <int Lanes, bool Whole>
ASAM_INLINE void depthwise_channels(const DepthwiseShape& s, const float* const rows[3], const float* weight,
                                    const float* bias, int64_t c, int64_t count, float* y) {
  using F = Float<Lanes>;
  const auto read = [count](const float* p) __attribute__((always_inline)) {
    return Whole ? load<Lanes>(p) : load_part<Lanes>(p, count);
  };
  F w[9];
#pragma GCC unroll 9
  for (int tap = 0; tap < 9; ++tap) w[tap] = read(weight + tap * s.channels + c);
  const F base = read(bias + c);
  const int64_t out = (s.wide - 1) / s.stride + 1;
  for (int64_t i = 0; i < out; ++i) {
    const int64_t at = i * s.stride;
    const bool left = at > 0, right = at + 1 < s.wide;
    F sum = base;
#pragma GCC unroll 3
    for (int t = 0; t < 3; ++t) {
      if (!rows[t]) continue;
      const float* cell = rows[t] + at * s.channels + c;
      if (left) sum += w[3 * t] * read(cell - s.channels);
      sum += w[3 * t + 1] * read(cell);
      if (right) sum += w[3 * t + 2] * read(cell + s.channels);
    }
    if (Whole) {
      store<Lanes>(y + i * s.channels + c, sum);
    } else {
      store_part<Lanes>(y + i * s.channels + c, sum, count);
    }
  }
}

template <int Lanes>
ASAM_INLINE void depthwise_kernel(const DepthwiseShape& s, const float* const rows[3], const float* weight,
                                  const float* bias, float* y) {
  int64_t c = 0;
  for (; c + Lanes <= s.channels; c += Lanes) {
    depthwise_channels<Lanes, true>(s, rows, weight, bias, c, Lanes, y);
  }
  if (c < s.channels) depthwise_channels<Lanes, false>(s, rows, weight, bias, c, s.channels - c, y);
}

}  // namespace asam::simd
