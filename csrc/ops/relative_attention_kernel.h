// Attention with the lanes along the queries, so that every sum and maximum of a softmax is a vertical one.
// Rules of ops/simd.h apply.
#pragma once

#include "ops/query_product.h"
#include "ops/relative_attention.h"
#include "ops/simd.h"

namespace asam::simd {

// Sum of e^x over rows first .. last - 1 of x [.., width], without the factor e^top. top: the largest x.
template <int Lanes>
ASAM_INLINE Float<Lanes> sum_of_powers(const float* x, int64_t first, int64_t last, int64_t width,
                                       Float<Lanes>& top) {
  top = load<Lanes>(x + first * width);
  for (int64_t i = first + 1; i < last; ++i) top = max<Lanes>(top, load<Lanes>(x + i * width));
  Float<Lanes> sum{};
  for (int64_t i = first; i < last; ++i) sum += exp<Lanes>(load<Lanes>(x + i * width) - top);
  return sum;
}

template <int Lanes, int Rows>
ASAM_INLINE void relative_attend_kernel(const RelativeAttentionShape& s, const RelativePositions& positions,
                                        const float* q, const float* k, const float* v, float* out,
                                        float* scratch) {
  using F = Float<Lanes>;
  constexpr int64_t kStep = 2 * Lanes;
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(s.dim));
  const int64_t n = s.window, keys = s.high * s.wide, reach = 2 * n - 1;
  const int64_t width = (s.queries + kStep - 1) / kStep * kStep;
  float* query_rows = scratch;               // [d, width]
  float* dots = query_rows + s.dim * width;  // [2n - 1, width], one axis at a time
  float* beside_h = dots + reach * width;    // [n, width]
  float* beside_w = beside_h + n * width;    // [n, width]
  float* padded = beside_w + n * width;      // [1, width]
  float* share = padded + width;             // [keys, width]
  float* rest = share + keys * width;        // [1, width]
  float* inverse = rest + width;             // [1, width]
  float* mixed_rows = query_rows;            // [d, width], once the queries are done with

  rows_to_lanes(q, s.q_stride, s.queries, s.dim, width, query_rows);

  // Rows of the tables that some query and some row of the window need: y_i - y + n - 1.
  for (int axis = 0; axis < 2; ++axis) {
    const float* table = axis ? positions.table_w : positions.table_h;
    float* beside = axis ? beside_w : beside_h;
    const int64_t most = axis ? s.wide - 1 : (s.first + s.queries - 1) / s.wide;
    const int64_t least = axis ? 0 : s.first / s.wide;
    query_product<Lanes, Rows, 2>(table + least * s.dim, most - least + n, s.dim, 1, s.dim, query_rows, width,
                                  1.0f, dots + least * width);
    int64_t row = s.first / s.wide, column = s.first % s.wide;
    for (int64_t i = 0; i < width; ++i) {
      const int64_t place = axis ? column : row;
      const float* from = dots + (place + n - 1) * width + i;
      for (int64_t y = 0; y < n; ++y) beside[y * width + i] = from[-y * width];
      if (i + 1 < s.queries && ++column == s.wide) column = 0, ++row;
    }
  }

  query_product<Lanes, Rows, 2>(k, keys, s.kv_stride, 1, s.dim, query_rows, width, scale, share);
  const bool pads = s.high < n || s.wide < n;
  if (pads)
    query_product<Lanes, Rows, 2>(positions.padded_key, 1, s.dim, 1, s.dim, query_rows, width, scale, padded);

  for (int64_t i = 0; i < width; i += Lanes) {
    F top = splat<Lanes>(-__builtin_inff());
    for (int64_t y = 0, j = 0; y < s.high; ++y) {
      const F h = load<Lanes>(beside_h + y * width + i);
      for (int64_t x = 0; x < s.wide; ++x, ++j) {
        const F score = load<Lanes>(share + j * width + i) + (h + load<Lanes>(beside_w + x * width + i));
        top = max<Lanes>(top, score);
        store<Lanes>(share + j * width + i, score);
      }
    }
    // The two rectangles of padded cells as sum * e^level.
    F sum[2] = {}, level[2];
    for (F& one : level) one = splat<Lanes>(-__builtin_inff());
    if (pads) {
      const F base = load<Lanes>(padded + i);
      F high, wide;
      if (s.wide < n) {
        sum[0] = sum_of_powers<Lanes>(beside_h + i, 0, s.high, width, high) *
                 sum_of_powers<Lanes>(beside_w + i, s.wide, n, width, wide);
        level[0] = base + (high + wide);
        top = max<Lanes>(top, level[0]);
      }
      if (s.high < n) {
        sum[1] = sum_of_powers<Lanes>(beside_h + i, s.high, n, width, high) *
                 sum_of_powers<Lanes>(beside_w + i, 0, n, width, wide);
        level[1] = base + (high + wide);
        top = max<Lanes>(top, level[1]);
      }
    }
    F total{};
    for (int64_t j = 0; j < keys; ++j) {
      const F weight = exp<Lanes>(load<Lanes>(share + j * width + i) - top);
      total += weight;
      store<Lanes>(share + j * width + i, weight);
    }
    F others{};
    for (int part = 0; part < 2; ++part) others += sum[part] * exp<Lanes>(level[part] - top);
    store<Lanes>(rest + i, others);
    store<Lanes>(inverse + i, 1.0f / (total + others));
  }

  query_product<Lanes, Rows, 2>(v, s.dim, 1, s.kv_stride, keys, share, width, 1.0f, mixed_rows);
  for (int64_t c = 0; c < s.dim; ++c) {
    for (int64_t i = 0; i < width; i += Lanes) {
      F mixed = load<Lanes>(mixed_rows + c * width + i);
      if (pads) mixed += load<Lanes>(rest + i) * positions.padded_value[c];
      store<Lanes>(mixed_rows + c * width + i, mixed * load<Lanes>(inverse + i));
    }
  }
  lanes_to_rows(mixed_rows, width, s.queries, s.dim, out, s.out_stride);
}

}  // namespace asam::simd
