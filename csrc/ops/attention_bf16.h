// Multi-head attention over bfloat16 queries, keys and values: the equation of ops/attention.h, for the two
// shapes a two-way transformer has: few queries over many keys (tokens look at the image, tokens at tokens),
// and many queries over few keys (the image looks at the tokens). Products sum in float32, softmax is
// float32, its weights are rounded for the last product.
#pragma once

#include <cstdint>

#include "core/isa.h"
#include "ops/attention.h"
#include "ops/bf16.h"

namespace asam {

// inputs
//   q        [queries, heads * dim]
//   k, v     [keys, heads * dim], keys >= 1
// outputs
//   out      [queries, heads * dim]; must not overlap the inputs
// scratch    attention_bf16_scratch(shape) floats, any contents
using AttendBf16Fn = void (*)(const AttentionShape& shape, const Bf16* q, const Bf16* k, const Bf16* v,
                              Bf16* out, float* scratch);

// Floats of scratch that every version can work with.
int64_t attention_bf16_scratch(const AttentionShape& shape);

void attend_bf16_ref(const AttentionShape& shape, const Bf16* q, const Bf16* k, const Bf16* v, Bf16* out,
                     float* scratch);

// The readable version wherever the instruction set has no better one.
AttendBf16Fn attend_few_queries_bf16_for(Isa isa);
AttendBf16Fn attend_few_keys_bf16_for(Isa isa);

}  // namespace asam
