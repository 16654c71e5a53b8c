// What the first two-way layer computes before it meets the image. In float32, whatever the precision.
#pragma once

#include <cstdint>

#include "ops/kernels.h"
#include "sampler/weights.h"

namespace asam {

// Room for run_prefix with up to `tokens` tokens.
struct PrefixScratch {
  PrefixScratch() = default;
  PrefixScratch(const SamplerConfig& config, int64_t tokens);

  Buffer qk;                    // [T, 2C]
  Buffer v, mixed, with_point;  // [T, C]
  Buffer attention;
};

// inputs   point [T, C]: output tokens, then prompt tokens
// outputs  queries [T, C] = norm1(self_attention(point)); image_queries [T, C/2] = (queries + point) W_q + b
// Where no token is sampled this is the same for all hypotheses (identity 4).
void run_prefix(const Kernels& kernels, const SamplerWeights& weights, int64_t tokens, const float* point,
                PrefixScratch& scratch, float* queries, float* image_queries);

}  // namespace asam
