// What is computed once an image and once a prompt. Immutable, shared, and tied to the weights it came from.
#pragma once

#include <cstdint>
#include <memory>

#include "ops/buffer.h"
#include "sampler/weights.h"

namespace asam {

struct ImageState {
  std::shared_ptr<const SamplerWeights> weights;
  Buffer combined;   // [P, C]: G = F W_f + b, the embedding's half of the first combiner layer (identity 2)
  Buffer mu, sigma;  // [L], image latent
};

struct PromptState {
  std::shared_ptr<const SamplerWeights> weights;
  int64_t tokens = 0;         // T = output tokens + prompt tokens
  int64_t combined_rows = 0;  // 1, or P with a mask prompt (identity 3)
  Buffer combined;            // [combined_rows, C]
  Buffer point;               // [T, C], output tokens then prompt tokens
  Buffer queries;             // [T, C], after the first self-attention and its norm (identity 4)
  Buffer image_queries;       // [T, C/2], of the first token-to-image attention (identity 4)
  int64_t sampled = 0;        // t, where the prompt tokens are sampled; the three above are then empty
  Buffer token_combined;      // [t, C], their half of the first combiner layer (identity 2)
  Buffer mu, sigma;           // [L], prompt latent
};

}  // namespace asam
