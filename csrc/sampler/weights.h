// Folded sampler weights, checked once and packed for the kernels.
//
// Names and shapes are those of sampler.safetensors (asam_trt/fold.py writes them): linear weights are
// [in, out], x W + b.
#pragma once

#include <cstdint>
#include <vector>

#include "core/named_tensors.h"
#include "core/precision.h"
#include "ops/arithmetic.h"
#include "ops/buffer.h"
#include "ops/upscale.h"
#include "sampler/config.h"

namespace asam {

struct Linear {
  Weight weight;
  Buffer bias;

  Epilogue epilogue(bool relu = false) const { return {.bias = bias.data(), .relu = relu}; }
  Epilogue onto(const float* residual) const { return {.bias = bias.data(), .residual = residual}; }
};

// A product over cells whose position terms are folded into a bias a cell (identity 5), of the first columns
// where only these have one: values do not, their bias is in what comes after the attention.
struct CellLinear {
  Weight weight;
  int64_t biased = 0;  // columns
  Buffer bias;         // [P, biased]

  const float* bias_of(int64_t start) const { return bias.data() + start * biased; }

  // For cells that begin with `start`.
  Epilogue epilogue(int64_t start, int64_t cells) const {
    return {.bias = bias_of(start), .bias_rows = cells, .bias_columns = biased};
  }
};

struct Norm {
  Buffer weight, bias;
};

struct Combiner {
  Linear feature;              // [C, C], first layer's half for the embedding, with its bias
  Weight latent;               // [L, C], its half for the latent (identity 2)
  std::vector<Linear> layers;  // 1 .. combiner_layers - 1
};

struct TwoWayLayer {
  Linear self_qk;  // [C, 2C]: queries, keys
  Linear self_v, self_out;
  Norm norm1, norm2, norm3, norm4;
  Linear token_q;       // token to image, queries of the tokens
  CellLinear image_kv;  // [C, C]: keys with position, values
  Linear token_out;
  Linear mlp0, mlp1;
  CellLinear image_q;  // image to token, queries of the cells
  Linear token_k, token_v, image_out;
};

struct SamplerWeights {
  SamplerConfig config;
  Precision precision = Precision::float32;
  Combiner combiner_image, combiner_prompt;  // empty where the model has none
  Buffer output_tokens;                      // [K + 2, C]
  std::vector<TwoWayLayer> layers;
  Linear final_q;
  CellLinear final_kv;
  Linear final_out;
  Norm final_norm;
  UpscaleWeights upscale;
  std::vector<std::vector<Linear>> hyper;  // K of three layers, ensemble weights inside (identity 1)
  std::vector<Linear> iou;                 // last one: sum_k w_k iou_k, or K of them where masks are separate

  int64_t widest_iou() const;

  // Copies what it needs. Tensors named prompt.* belong to the prompt encoder and are passed over.
  // Throws std::invalid_argument naming the tensor: missing, unknown, another shape, NaN or Inf.
  // Whatever the precision, what is computed once an image or a prompt stays in float32, and so do the halves
  // of the combiners for latents: it costs nothing, and its errors would reach every cell. int8 is of what
  // bears it, the MLP of the tokens and the keys and values of the cells; the rest is in 16 bits then.
  static SamplerWeights load(const SamplerConfig& config, const TensorMap& tensors, Precision precision);
};

}  // namespace asam
