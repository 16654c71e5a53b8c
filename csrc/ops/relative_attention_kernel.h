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

// beside_h, beside_w [n, width]: h[i, y] and w[i, x] of the queries in the lanes. dots: room, [2n - 1,
// width].
template <int Lanes, int Rows>
ASAM_INLINE void relative_positions(const RelativeAttentionShape& s, const RelativePositions& positions,
                                    const float* query_rows, int64_t width, float* dots, float* beside_h,
                                    float* beside_w) {
  const int64_t n = s.window;
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
}

// The two rectangles of padded cells, for Lanes queries, as sum * e^level.
template <int Lanes>
struct PaddedCells {
  Float<Lanes> sum[2], level[2];

  // padded: q_i . padded_key / sqrt(d); beside_h, beside_w: as above.
  ASAM_INLINE PaddedCells(const RelativeAttentionShape& s, const float* padded, const float* beside_h,
                          const float* beside_w, int64_t width) {
    const int64_t n = s.window;
    for (int part = 0; part < 2; ++part) {
      sum[part] = Float<Lanes>{};
      level[part] = splat<Lanes>(-__builtin_inff());
    }
    const Float<Lanes> base = load<Lanes>(padded);
    Float<Lanes> high, wide;
    if (s.wide < n) {
      sum[0] = sum_of_powers<Lanes>(beside_h, 0, s.high, width, high) *
               sum_of_powers<Lanes>(beside_w, s.wide, n, width, wide);
      level[0] = base + (high + wide);
    }
    if (s.high < n) {
      sum[1] = sum_of_powers<Lanes>(beside_h, s.high, n, width, high) *
               sum_of_powers<Lanes>(beside_w, 0, n, width, wide);
      level[1] = base + (high + wide);
    }
  }

  ASAM_INLINE Float<Lanes> top() const { return max<Lanes>(level[0], level[1]); }
  // rest_i, without the factor e^top.
  ASAM_INLINE Float<Lanes> rest(Float<Lanes> top) const {
    return sum[0] * exp<Lanes>(level[0] - top) + sum[1] * exp<Lanes>(level[1] - top);
  }
};

ASAM_INLINE bool has_padding(const RelativeAttentionShape& s) {
  return s.high < s.window || s.wide < s.window;
}

// Calls body(the shape of some of the queries, the first of them), so many that their shares stay in the
// caches.
template <class Body>
ASAM_INLINE void for_query_blocks(const RelativeAttentionShape& s, const Body& body) {
  for (int64_t first = 0; first < s.queries; first += kRelativeQueries) {
    RelativeAttentionShape block = s;
    block.first += first;
    block.queries = s.queries - first < kRelativeQueries ? s.queries - first : kRelativeQueries;
    body(block, first);
  }
}

template <int Lanes, int Rows>
ASAM_INLINE void relative_attend_block(const RelativeAttentionShape& s, const RelativePositions& positions,
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
  relative_positions<Lanes, Rows>(s, positions, query_rows, width, dots, beside_h, beside_w);
  query_product<Lanes, Rows, 2>(k, keys, s.kv_stride, 1, s.dim, query_rows, width, scale, share);
  const bool pads = has_padding(s);
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
    F others{};
    if (pads) {
      const PaddedCells<Lanes> cells(s, padded + i, beside_h + i, beside_w + i, width);
      top = max<Lanes>(top, cells.top());
      others = cells.rest(top);
    }
    F total{};
    for (int64_t j = 0; j < keys; ++j) {
      const F weight = exp<Lanes>(load<Lanes>(share + j * width + i) - top);
      total += weight;
      store<Lanes>(share + j * width + i, weight);
    }
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

template <int Lanes, int Rows>
ASAM_INLINE void relative_attend_kernel(const RelativeAttentionShape& s, const RelativePositions& positions,
                                        const float* q, const float* k, const float* v, float* out,
                                        float* scratch) {
  for_query_blocks(s, [&](const RelativeAttentionShape& block, int64_t first) __attribute__((always_inline)) {
    relative_attend_block<Lanes, Rows>(block, positions, q + first * s.q_stride, k, v,
                                       out + first * s.out_stride, scratch);
  });
}

}  // namespace asam::simd
