// Folded sampler weights in device memory. Names and shapes: sampler/weights.h and asam_trt/fold.py. Products
// that read the same rows lie side by side in one matrix.
#pragma once

#include <deque>
#include <vector>

#include "core/cuda_status.cuh"
#include "core/named_tensors.h"
#include "ops/matmul.cuh"
#include "sampler/config.h"

namespace asam::cuda {

template <class T>
struct Linear {
  Matrix<T> w;
  const float* bias = nullptr;  // [bias_rows, out]
  std::int64_t bias_rows = 1;   // P where position terms are inside (identity 5)
};

struct Norm {
  const float *weight = nullptr, *bias = nullptr;
};

// The first layer up to its token queries, in float32 whatever Act is (identity 4).
struct Prefix {
  Linear<float> qk;  // [C, 2C]: queries, keys
  Linear<float> v, out;
  Norm norm;
  Linear<float> token_q;
};

template <class Act>
struct TwoWayLayer {
  // Not of the first layer: that is Prefix.
  Linear<Act> self_out;
  Norm norm1;
  Linear<Act> token_q;  // token to image, queries of the tokens

  Linear<Act> image_kv;  // [C, C]: keys with position, values
  Linear<Act> token_out;
  Norm norm2;
  Linear<Act> mlp0, mlp1;
  Norm norm3;
  Linear<Act>
      of_point;  // of queries + point: keys for the image [C/2], then what comes next: self-attention's
                 // queries and keys [2C], or after the last layer the final queries [C/2]
  Linear<Act>
      of_queries;       // of queries: values for the image [C/2], then self-attention's values [C] or nothing
  Linear<Act> image_q;  // image to token, queries of the cells
  Linear<Act> image_out;
  Norm norm4;
};

template <class Act>
struct Weights {
  // Throws std::invalid_argument that names the entry or tensor at fault.
  Weights(const SamplerConfig& config, const TensorMap& tensors);

  SamplerConfig config;
  Linear<float> image_feature, prompt_feature;  // [C, C], first combiner layers' halves for embeddings
  Matrix<float> latent;                // 2 of [L, C], theirs for the latents: prompt, image (identity 2)
  std::vector<Linear<float>> vector;   // combiner_prompt, layers 1 .., for the constant dense prompt
  const float* vector_bias = nullptr;  // its last bias plus combiner_image's
  std::vector<Linear<Act>> image_layers, prompt_layers;  // the combiners' layers 1 ..
  const float* output_tokens = nullptr;                  // [K + 2, C]
  Prefix prefix;
  std::vector<TwoWayLayer<Act>> layers;
  Linear<Act> final_kv, final_out;
  Norm final_norm;
  Linear<Act> upscale0, upscale1;  // biases once for each (dy, dx)
  Norm upscale_norm;               // [C/4]
  Linear<Act> hyper0, hyper1;      // K of [C, C]
  Linear<Act>
      hyper2;  // [K C, C/8]: sum_k w_k h_k at once (identity 1); K of [C, C/8] where masks are separate
  std::vector<Linear<Act>> iou;
  int widest_iou = 0;

 private:
  template <class>
  friend class Loader;
  std::deque<DeviceArray<std::byte>> memory_;
};

}  // namespace asam::cuda
