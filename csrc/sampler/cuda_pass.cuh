// The sampler's equations as a chain of kernels over all hypotheses at once. Enqueues only.
#pragma once

#include "core/cuda_api.h"
#include "sampler/cuda_memory.cuh"

namespace asam::cuda {

// embedding [C, P] -> state
template <class Act>
void make_image_state(const Weights<Act>& weights, const float* embedding, const float* mu,
                      const float* sigma, const ImageState& state, cudaStream_t stream);

// tokens [t, C], dense [C, 1 or P] -> state
template <class Act>
void make_prompt_state(const Weights<Act>& weights, const Sizes& sizes, const float* tokens,
                       const float* dense, const float* mu, const float* sigma, const PromptState<Act>& state,
                       const PrefixRoom& room, cudaStream_t stream);

// eps [n, 2, L] or rng -> logits [n, 4e, 4e], scores [n]
template <class Act>
void sample(const Weights<Act>& weights, const Sizes& sizes, const ImageState& image,
            const PromptState<Act>& prompt, const float* eps, const asam_cuda_rng* rng,
            const Workspace<Act>& workspace, float* logits, float* scores, cudaStream_t stream);

}  // namespace asam::cuda
