// The operator of ops/resize_masks.h, one axis at a time.
//
//   along a row       y[i] = sum_{t < 3} weight[t][i] x[first[i] + t]
//   down the columns  v[r, i] = sum_{t < 3} weight[t][r] x[first[r] + t, i]
//
// Sums are made from left to right without fused multiply-adds, so that every version, and the GPU's, gives
// the same bits.
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace asam {

// What `rows` rows of `width` pixels are made of, down the columns.
struct RowsDown {
  const float* x;  // rows `width` apart
  const int32_t* first;
  const float* weight[3];
  int64_t rows, width;
};

struct ResizeRows {
  // inputs
  //   x       a row that reaches to first[n - 1] + 2
  //   first   [n]
  //   weight  three of [n]
  // outputs
  //   y       [n]
  void (*along)(const float* x, const int32_t* first, const float* const* weight, int64_t n, float* y);

  // y [rows, width], rows y_stride apart, = v
  void (*values)(const RowsDown& down, float* y, int64_t y_stride);
  // mask [rows, width], rows mask_stride apart, = 1 where v > threshold, else 0
  void (*mask)(const RowsDown& down, float threshold, uint8_t* mask, int64_t mask_stride);
  // counts [rows, width], rows counts_stride apart, += v > threshold; returns at how many places it is.
  int64_t (*count)(const RowsDown& down, float threshold, int32_t* counts, int64_t counts_stride);
};

extern const ResizeRows kResizeRowsReference;  // readable
#if defined(__x86_64__)
extern const ResizeRows kResizeRowsAvx2;
extern const ResizeRows kResizeRowsAvx512f;
#elif defined(__aarch64__)
extern const ResizeRows kResizeRowsNeon;
#endif

// The version for an instruction set, or the best below it.
const ResizeRows& resize_rows_for(Isa isa);

}  // namespace asam
