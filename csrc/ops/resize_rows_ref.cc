#include "ops/resize_rows.h"

namespace asam {
namespace {

float value(const RowsDown& down, int64_t row, int64_t i) {
  const float* x = down.x + down.first[row] * down.width + i;
  return down.weight[0][row] * x[0] + down.weight[1][row] * x[down.width] +
         down.weight[2][row] * x[2 * down.width];
}

void along(const float* x, const int32_t* first, const float* const* weight, int64_t n, float* y) {
  for (int64_t i = 0; i < n; ++i) {
    const float* p = x + first[i];
    y[i] = weight[0][i] * p[0] + weight[1][i] * p[1] + weight[2][i] * p[2];
  }
}

void values(const RowsDown& down, float* y, int64_t y_stride) {
  for (int64_t r = 0; r < down.rows; ++r) {
    for (int64_t i = 0; i < down.width; ++i) y[r * y_stride + i] = value(down, r, i);
  }
}

void mask(const RowsDown& down, float threshold, uint8_t* mask, int64_t mask_stride) {
  for (int64_t r = 0; r < down.rows; ++r) {
    for (int64_t i = 0; i < down.width; ++i) mask[r * mask_stride + i] = value(down, r, i) > threshold;
  }
}

int64_t count(const RowsDown& down, float threshold, int32_t* counts, int64_t counts_stride) {
  int64_t inside = 0;
  for (int64_t r = 0; r < down.rows; ++r) {
    for (int64_t i = 0; i < down.width; ++i) {
      const bool hit = value(down, r, i) > threshold;
      counts[r * counts_stride + i] += hit;
      inside += hit;
    }
  }
  return inside;
}

}  // namespace

const ResizeRows kResizeRowsReference{along, values, mask, count};

}  // namespace asam
