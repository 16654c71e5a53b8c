// One source for every vector width. Rules of ops/simd.h apply, but for the functions that a table of one
// file points at: they are internal. Files that include this are compiled without fused multiply-adds.
#pragma once

#include "ops/resize_rows.h"
#include "ops/simd.h"

namespace asam::simd {

// A copy: what is stored through other pointers cannot change it.
struct Down {
  const float* x;
  const int32_t* first;
  const float *weight0, *weight1, *weight2;
  int64_t width;

  ASAM_INLINE explicit Down(const RowsDown& from)
      : x(from.x),
        first(from.first),
        weight0(from.weight[0]),
        weight1(from.weight[1]),
        weight2(from.weight[2]),
        width(from.width) {}

  template <int Lanes>
  ASAM_INLINE Float<Lanes> vector(int64_t row, int64_t i) const {
    const float* p = x + first[row] * width + i;
    return splat<Lanes>(weight0[row]) * load<Lanes>(p) + splat<Lanes>(weight1[row]) * load<Lanes>(p + width) +
           splat<Lanes>(weight2[row]) * load<Lanes>(p + 2 * width);
  }
  ASAM_INLINE float one(int64_t row, int64_t i) const {
    const float* p = x + first[row] * width + i;
    return weight0[row] * p[0] + weight1[row] * p[width] + weight2[row] * p[2 * width];
  }
};

ASAM_INLINE float along_one(const float* x, const int32_t* first, const float* const* weight, int64_t i) {
  const float* p = x + first[i];
  return weight[0][i] * p[0] + weight[1][i] * p[1] + weight[2][i] * p[2];
}

[[maybe_unused]] static void along_one_by_one(const float* x, const int32_t* first,
                                              const float* const* weight, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) y[i] = along_one(x, first, weight, i);
}

// Where rows grow, neighbouring pixels read from a few numbers: they are shuffled out of one vector.
//
// Shuffle says how:
//   kLanes
//   fits(readable)       whether a window can be loaded where so many numbers may be read
//   window(p, readable)  kLanes numbers from p on, or zeros for those that may not be
//   take(window, at)     numbers at, 0 .. kLanes - 1, of a window
template <class Shuffle>
static void along_shuffled(const float* x, const int32_t* first, const float* const* weight, int64_t n,
                           float* y) {
  constexpr int kLanes = Shuffle::kLanes;
  const float* const end = x + first[n - 1] + 3;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const float* const p = x + first[i];
    if (first[i + kLanes - 1] + 2 - first[i] < kLanes && Shuffle::fits(end - p)) {
      const auto window = Shuffle::window(p, end - p);
      Int<kLanes> at;
      __builtin_memcpy(&at, first + i, sizeof at);
      at -= first[i];
      store<kLanes>(y + i, load<kLanes>(weight[0] + i) * Shuffle::take(window, at) +
                               load<kLanes>(weight[1] + i) * Shuffle::take(window, at + 1) +
                               load<kLanes>(weight[2] + i) * Shuffle::take(window, at + 2));
    } else {
      for (int64_t j = i; j < i + kLanes; ++j) y[j] = along_one(x, first, weight, j);
    }
  }
  for (; i < n; ++i) y[i] = along_one(x, first, weight, i);
}

// The outer loops go over columns, so that the inner ones are long in narrow tiles too.

template <int Lanes>
static void values_down(const RowsDown& down, float* y, int64_t y_stride) {
  const Down from(down);
  const int64_t rows = down.rows, width = down.width;
  int64_t i = 0;
  for (; i + Lanes <= width; i += Lanes) {
    for (int64_t r = 0; r < rows; ++r) {
      store<Lanes>(y + r * y_stride + i, from.template vector<Lanes>(r, i));
    }
  }
  for (; i < width; ++i) {
    for (int64_t r = 0; r < rows; ++r) y[r * y_stride + i] = from.one(r, i);
  }
}

// Left to the compiler, which packs bytes better than it converts vectors to them.
[[maybe_unused]] static void mask_down(const RowsDown& down, float threshold, uint8_t* mask,
                                       int64_t mask_stride) {
  const Down from(down);
  const int64_t rows = down.rows, width = down.width;
  for (int64_t r = 0; r < rows; ++r) {
    uint8_t* const to = mask + r * mask_stride;
    const float* const x = from.x + from.first[r] * width;
    const float w0 = from.weight0[r], w1 = from.weight1[r], w2 = from.weight2[r];
    for (int64_t i = 0; i < width; ++i) {
      to[i] = w0 * x[i] + w1 * x[width + i] + w2 * x[2 * width + i] > threshold;
    }
  }
}

template <int Lanes>
static int64_t count_down(const RowsDown& down, float threshold, int32_t* counts, int64_t counts_stride) {
  const Down from(down);
  const int64_t rows = down.rows, width = down.width;
  Int<Lanes> total{};
  int64_t i = 0, inside = 0;
  for (; i + Lanes <= width; i += Lanes) {
    for (int64_t r = 0; r < rows; ++r) {
      const Int<Lanes> hit = from.template vector<Lanes>(r, i) > splat<Lanes>(threshold);  // 0 or -1
      int32_t* const place = counts + r * counts_stride + i;
      Int<Lanes> sum;
      __builtin_memcpy(&sum, place, sizeof sum);
      sum -= hit;
      __builtin_memcpy(place, &sum, sizeof sum);
      total -= hit;
    }
  }
  for (int lane = 0; lane < Lanes; ++lane) inside += total[lane];
  for (; i < width; ++i) {
    for (int64_t r = 0; r < rows; ++r) {
      const bool hit = from.one(r, i) > threshold;
      counts[r * counts_stride + i] += hit;
      inside += hit;
    }
  }
  return inside;
}

}  // namespace asam::simd
