// One head of the image encoder's attention in one window, with decomposed relative positions.
//
// The window has n x n cells, of which high x wide are real: key j is the real cell (y_j, x_j). For query i,
//
//   score[i, j] = q_i . k_j / sqrt(d) + h[i, y_j] + w[i, x_j]
//   h[i, y]     = q_i . table_h[y_i - y + n - 1],   w[i, x] = q_i . table_w[x_i - x + n - 1]
//   out_i       = (sum_j exp(score[i, j]) v_j + rest_i padded_value) / (sum_j exp(score[i, j]) + rest_i)
//
// rest_i is the share of the padded cells, whose keys and values are all the same. A cell is padded where its
// row or its column is, so that the sum over them is one of two rectangles, and no padded key is looped over:
//
//   rest_i = exp(q_i . padded_key / sqrt(d)) (sum_{y real} e^h sum_{x padded} e^w + sum_{y padded} e^h sum_x
//   e^w)
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace asam {

struct RelativeAttentionShape {
  int64_t dim = 0;                 // d
  int64_t window = 0;              // n
  int64_t high = 0, wide = 0;      // 1 .. n
  int64_t first = 0, queries = 0;  // cells of the window that ask, in reading order; queries >= 1
  int64_t q_stride = 0, kv_stride = 0, out_stride = 0;  // between cells
};

struct RelativePositions {
  const float* table_h;       // [2n - 1, d]
  const float* table_w;       // [2n - 1, d]
  const float* padded_key;    // [d]
  const float* padded_value;  // [d]
};

// Queries that pass together, and in the version of integers keys.
inline constexpr int64_t kRelativeQueries = 64, kRelativeKeys = 64;

// inputs
//   q      [queries, d]
//   k, v   [high * wide, d]
// outputs
//   out    [queries, d]; must not overlap the inputs
// scratch  relative_attention_scratch(shape) floats, any contents
using RelativeAttendFn = void (*)(const RelativeAttentionShape& shape, const RelativePositions& positions,
                                  const float* q, const float* k, const float* v, float* out, float* scratch);

// Floats of scratch that every version can work with.
int64_t relative_attention_scratch(const RelativeAttentionShape& shape);

void relative_attend_ref(const RelativeAttentionShape& shape, const RelativePositions& positions,
                         const float* q, const float* k, const float* v, float* out, float* scratch);

// The version for an instruction set, or the best below it.
RelativeAttendFn relative_attend_for(Isa isa);

// The same with scores and mixtures of values as products of 16-bit integers
// (ops/relative_attention_int16_kernel.h); that of floats where there is none.
RelativeAttendFn relative_attend_int16_for(Isa isa);

}  // namespace asam
