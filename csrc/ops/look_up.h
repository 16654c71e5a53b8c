// Numbers that stand for counts, as of hypotheses that hold a pixel.
//
//   y[i] = table[counts[i]]
#pragma once

#include <cstdint>

namespace asam {

// inputs
//   counts  [n]
//   table   [size]
// outputs
//   y       [n]
// std::invalid_argument where a count is not 0 .. size - 1; y is then unspecified.
void look_up(const int32_t* counts, int64_t n, const float* table, int64_t size, float* y);

}  // namespace asam
