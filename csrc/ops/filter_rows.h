// Weighted means of neighbouring pixels in 8 bits, as Pillow makes them: whole weights of 2^-22, rounded at
// the end.
//
//   y[i] = min(255, floor((2^21 + sum_{t < count[i]} weight[i, t] x[first[i] + t]) / 2^22))
//
// Sums are exact, so that every version gives the same bits.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace asam {

inline constexpr int kFilterBits = 22;
inline constexpr int64_t kColours = 3;

// Of one axis. It owns nothing.
struct FilterTaps {
  const int32_t *first, *count;  // [out]
  const int32_t* weight;         // [out, most], zeros after the first `count`
  int64_t out, most;             // most is even
};

struct FilterRows {
  // Along a row x [in, 3] of pixels -> y [out, 3].
  void (*along)(const uint8_t* x, int64_t in, const FilterTaps& taps, uint8_t* y);
  // Down the columns: rows x [count, n], n apart, with weights [count] -> y [n].
  void (*down)(const uint8_t* x, int64_t n, const int32_t* weights, int64_t count, uint8_t* y);
};

extern const FilterRows kFilterRowsReference;  // readable
#if defined(__x86_64__)
extern const FilterRows kFilterRowsAvx2;
#endif

// The version for an instruction set, or the best below it.
const FilterRows& filter_rows_for(Isa isa);

}  // namespace asam
