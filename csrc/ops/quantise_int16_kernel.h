// Rows to 16 bits, one source for both vector widths of x86-64. Rules of ops/simd.h apply.
#pragma once

#include "ops/quantise_int16.h"
#include "ops/simd.h"

namespace asam::simd {

// Norm and largest number, by size, of a row times `factor`.
struct RowSize {
  float norm, largest;
};

// Machine is what the instruction set has of its own:
//   kLanes                      floats in a vector
//   load_first(p, count)        the first `count` lanes from memory, all for kLanes and more, the others zero
//   abs(v), sum(v), largest(v)  the last two over the lanes
//   put(y, v, any, count)       the first `count` lanes, rounded, to y; zeros unless `any`
template <class Machine>
ASAM_INLINE RowSize row_size(const float* x, int64_t n, float factor) {
  constexpr int kLanes = Machine::kLanes;
  using F = Float<kLanes>;
  F squares[2]{}, highs[2]{};  // two sums, since one would wait for itself
  const auto add = [&](int64_t i, int sum) __attribute__((always_inline)) {
    const F v = Machine::load_first(x + i, n - i) * factor;
    squares[sum] += v * v;
    highs[sum] = max<kLanes>(highs[sum], Machine::abs(v));
  };
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    add(i, 0);
    add(i + kLanes, 1);
  }
  for (; i < n; i += kLanes) add(i, 0);
  return {__builtin_sqrtf(Machine::sum(squares[0] + squares[1])),
          Machine::largest(max<kLanes>(highs[0], highs[1]))};
}

// 1 for a row of next to nothing, NaN for one that is not finite.
template <class Machine>
ASAM_INLINE float row_scale(const float* x, int64_t n, RowSize size) {
  const float count = static_cast<float>(n);
  // No square that counts left the range of float32.
  if (size.norm > 1e-10f && size.norm < 1e15f) return int16_scale(size.largest, size.norm, count);
  if (!(size.largest < __builtin_inff() && size.norm == size.norm)) return __builtin_nanf("");
  if (size.largest < kLeastRange) return 1.0f;
  return size.largest * int16_scale(1.0f, row_size<Machine>(x, n, 1.0f / size.largest).norm, count);
}

// Zeros where the scale is NaN.
template <class Machine>
ASAM_INLINE void round_row(const float* x, int64_t n, float scale, int16_t* y) {
  const bool any = scale == scale;
  const float steps = any ? 1.0f / scale : 0.0f;
  for (int64_t i = 0; i < n; i += Machine::kLanes) {
    Machine::put(y + i, Machine::load_first(x + i, n - i) * steps, any, n - i);
  }
}

template <class Machine>
ASAM_INLINE void quantise_rows(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                               int64_t y_stride, float* scale) {
  constexpr int64_t kTogether = 8;  // so that one's sums are on their way while the next is read
  for (int64_t first = 0; first < rows; first += kTogether) {
    const int64_t end = first + kTogether < rows ? first + kTogether : rows;
    RowSize sizes[kTogether];
    for (int64_t r = first; r < end; ++r) sizes[r - first] = row_size<Machine>(x + r * x_stride, n, 1.0f);
    for (int64_t r = first; r < end; ++r) {
      scale[r] = row_scale<Machine>(x + r * x_stride, n, sizes[r - first]);
    }
    for (int64_t r = first; r < end; ++r) {
      round_row<Machine>(x + r * x_stride, n, scale[r], y + r * y_stride);
    }
  }
}

}  // namespace asam::simd
