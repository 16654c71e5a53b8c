// Weights of a latent network, checked once and packed for the kernels.
//
// Names and shapes are those of image_prior.safetensors and prompt_prior.safetensors (asam.export_prior
// writes them): linear weights are [in, out], x W + b; of a convolution the input is row, column, channel.
#pragma once

#include <cstdint>
#include <vector>

#include "core/named_tensors.h"
#include "encoder/prior_config.h"
#include "ops/buffer.h"
#include "ops/matmul.h"

namespace asam {

struct PriorLinear {
  PackedMatrix weight;
  Buffer bias;  // [out], or [P, out] where it holds a term of the cell's position (identity 5)
};

// A 3 x 3 convolution with its ReLU, as one product over gathered neighbours.
struct PriorConv {
  int64_t from = 0, to = 0;  // sides of its maps
  int64_t stride = 1;
  std::vector<int64_t> taps;  // 3 * row + column of the neighbours that lie in the map for some cell
  int64_t in = 0;             // channels
  PriorLinear product;        // [taps * in, out]
};

struct PriorBlock {
  bool pools = false;  // 2 x 2 means come first
  std::vector<PriorConv> convs;
};

struct PriorWeights {
  PriorConfig config;
  // Of the attention to the prompt; empty where there is none.
  Buffer null_token;         // [C]
  PriorLinear q, k, v, out;  // [C, C]; q has the bias [P, C]
  std::vector<PriorBlock> blocks;
  PriorLinear output;  // [last width, 2 L]: mean, log sigma

  // Copies what it needs. Throws std::invalid_argument naming the tensor: missing, unknown, another shape,
  // NaN or Inf.
  static PriorWeights load(const PriorConfig& config, const TensorMap& tensors);
};

}  // namespace asam
