// The native sampler: weights, states, and hypotheses drawn in blocks over the thread pool.
#pragma once

#include <cstdint>
#include <memory>

#include "core/isa.h"
#include "core/precision.h"
#include "core/tensor.h"
#include "ops/kernels.h"
#include "sampler/state.h"
#include "sampler/workspace_pool.h"

namespace asam {

// A pass is one draw of the latents. It gives M masks: their weighted sum, M = 1, or where the configuration
// separates them one a mask token, M = K; those of a pass lie side by side.
//
// All calls may come from several threads at once. Wrong shapes and NaN or Inf are std::invalid_argument.
class Sampler {
 public:
  // block: hypotheses that pass through together, 0 chooses; no result depends on it.
  // int16 and int8 run on every instruction set, but as the slow reference where it has no instruction for
  // them.
  Sampler(const SamplerConfig& config, const TensorMap& tensors, Isa isa, Precision precision,
          int64_t block = 0);

  const SamplerConfig& config() const { return weights_->config; }
  Isa isa() const { return isa_; }
  Precision precision() const { return weights_->precision; }

  // inputs:  embedding [C, e, e]; mean and scale [L] of the image latent
  std::shared_ptr<const ImageState> image_state(Tensor<const float, 3> embedding, Tensor<const float, 1> mu,
                                                Tensor<const float, 1> sigma) const;

  // inputs:  image, the state the prompt's latent was computed on; tokens [t, C], t >= 0;
  //          dense [C, 1, 1], or [C, e, e] with a mask prompt; mean and scale [L] of the prompt latent
  std::shared_ptr<const PromptState> prompt_state(const ImageState& image, Tensor<const float, 2> tokens,
                                                  Tensor<const float, 3> dense, Tensor<const float, 1> mu,
                                                  Tensor<const float, 1> sigma) const;

  // inputs:  eps [n, 2, L]: prompt latent, image latent
  // outputs: logits [n * M, 4e, 4e]; scores [n * M]
  void sample(const ImageState& image, const PromptState& prompt, Tensor<const float, 3> eps,
              const Tensor<float, 3>& logits, const Tensor<float, 1>& scores) const;

  // The same with the Philox numbers of hypotheses start .. start + n - 1.
  void sample_seeded(const ImageState& image, const PromptState& prompt, std::uint64_t seed,
                     std::int64_t start, const Tensor<float, 3>& logits,
                     const Tensor<float, 1>& scores) const;

 private:
  Buffer features(Buffer rows, int64_t n, const Combiner& combiner) const;
  void check_states(const ImageState& image, const PromptState& prompt) const;

  // noise(first, count, room) returns the noise [count, 2, L] of hypotheses first .. first + count - 1, in
  // the room or elsewhere, and throws nothing.
  template <class Noise>
  void run(const ImageState& image, const PromptState& prompt, const Noise& noise,
           const Tensor<float, 3>& logits, const Tensor<float, 1>& scores) const;
  std::int64_t block_for(std::int64_t n) const;

  std::shared_ptr<const SamplerWeights> weights_;
  Isa isa_;
  Kernels kernels_;
  std::int64_t block_;
  mutable WorkspacePool workspaces_;
};

}  // namespace asam
