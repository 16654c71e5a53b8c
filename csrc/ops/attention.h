// Multi-head attention over projected queries, keys and values: for each head h and query i,
//
//   out[i, h] = sum_j softmax_j( q[i, h] . k[j, h] / sqrt(dim) + bias[h, j, i] ) v[j, h]
#pragma once

#include <cstdint>

#include "core/isa.h"

namespace asam {

// Head h of a row is its columns h * dim .. (h + 1) * dim - 1; strides are between rows.
struct AttentionShape {
  int64_t queries = 0, keys = 0, heads = 0, dim = 0;
  int64_t q_stride = 0, k_stride = 0, v_stride = 0, out_stride = 0;
};

// What a head's scores are raised by, or nothing where `values` is null: [heads, keys, stride], queries in
// the last axis, of which all `stride` are finite numbers, at least as many as whole kStep-s take.
struct AttentionBias {
  static constexpr int64_t kStep = 32;

  const float* values = nullptr;
  int64_t stride = 0;
};

// inputs
//   q        [queries, heads * dim]
//   k, v     [keys, heads * dim], keys >= 1
// outputs
//   out      [queries, heads * dim]; must not overlap the inputs
// scratch    attention_scratch(shape) floats, any contents
using AttendFn = void (*)(const AttentionShape& shape, const float* q, const float* k, const float* v,
                          const AttentionBias& bias, float* out, float* scratch);

// The same, without biases, over keys that come some at a time, in calls with the same queries: shape.keys,
// k and v are those of one call. What the queries saw in earlier calls waits in `sums`, attention_sums(shape)
// floats that no other call touches; `first` starts it anew, and `last` writes out.
struct AttentionPart {
  bool first, last;
};
using AttendPartFn = void (*)(const AttentionShape& shape, const float* q, const float* k, const float* v,
                              AttentionPart part, float* sums, float* out, float* scratch);

// Floats that every version can work with.
int64_t attention_scratch(const AttentionShape& shape);
int64_t attention_sums(const AttentionShape& shape);

void attend_ref(const AttentionShape& shape, const float* q, const float* k, const float* v,
                const AttentionBias& bias, float* out, float* scratch);

void attend_part_ref(const AttentionShape& shape, const float* q, const float* k, const float* v,
                     AttentionPart part, float* sums, float* out, float* scratch);

// The version for an instruction set, or the best below it. A query's result has the same bits wherever it
// stands among the queries, but not however its keys are divided into parts.
AttendFn attend_for(Isa isa);
AttendPartFn attend_part_for(Isa isa);

}  // namespace asam
