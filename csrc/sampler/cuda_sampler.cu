#include "sampler/cuda_sampler.cuh"

#include <string>
#include <vector>

#include "core/cuda_device.cuh"
#include "core/cuda_internal.h"
#include "core/errors.h"
#include "core/philox.h"
#include "ops/attention.cuh"
#include "ops/join_rows.cuh"
#include "ops/latents.cuh"
#include "ops/matmul.cuh"
#include "ops/resize_masks.cuh"
#include "ops/round.cuh"
#include "sampler/cuda_memory.cuh"
#include "sampler/cuda_pass.cuh"

namespace asam::cuda {
namespace {

constexpr std::int64_t kMostTokens = 1 << 16;
constexpr std::int64_t kMostHypotheses = 65535;  // one axis of a grid

template <class Act>
void prepare(const SamplerConfig& config) {
  const int width = static_cast<int>(config.channels / config.heads);
  prepare_matmul<Act>();
  prepare_attention<Act>(width);
  prepare_attention<Act>(width / 2);
  if constexpr (!std::is_same_v<Act, float>) prepare_round<Act>();
}

template <class Act>
class Typed final : public asam_cuda_sampler {
 public:
  Typed(const SamplerConfig& sizes, const TensorMap& tensors) : weights_(sizes, tensors) {
    config = sizes;
    prepare<float>(config);  // of the first layer and what is computed once
    if constexpr (!std::is_same_v<Act, float>) prepare<Act>(config);
    prepare_latents();
    prepare_join_rows();
    prepare_statistics();
  }

  asam_cuda_sizes sizes(std::int64_t n, std::int64_t t, bool map) const override {
    const Sizes of = checked(n, t, map);
    return {ImageState(config, Arena(nullptr)).bytes, PromptState<Act>(config, of, Arena(nullptr)).bytes,
            Workspace<Act>(weights_, of, Arena(nullptr)).bytes};
  }

  void image(const float* embedding, const float* mu, const float* sigma, void* state,
             void* stream) const override {
    const Range range("asam.image");
    make_image_state(weights_, embedding, mu, sigma, ImageState(config, Arena(state)),
                     static_cast<cudaStream_t>(stream));
  }

  void prompt(const float* tokens, std::int64_t t, const float* dense, bool map, const float* mu,
              const float* sigma, void* state, void* workspace, void* stream) const override {
    const Range range("asam.prompt");
    const Sizes of = checked(0, t, map);
    Arena arena(workspace);
    const PrefixRoom room(config, of.tokens, arena);
    make_prompt_state(weights_, of, tokens, dense, mu, sigma, PromptState<Act>(config, of, Arena(state)),
                      room, static_cast<cudaStream_t>(stream));
  }

  void run(const void* image, const void* prompt, std::int64_t t, bool map, std::int64_t n, const float* eps,
           const asam_cuda_rng* rng, float* logits, float* scores, void* workspace,
           void* stream) const override {
    const Range range("asam.sample");
    require((eps == nullptr) != (rng == nullptr), "expected eps or rng, came ", eps ? "both" : "neither");
    require(rng == nullptr || config.latent % 4 == 0, "expected a latent length that 4 divides, came ",
            config.latent);
    const Sizes of = checked(n, t, map);
    // Views alone: nobody writes through those of the states.
    const ImageState image_state(config, Arena(const_cast<void*>(image)));
    const PromptState<Act> prompt_state(config, of, Arena(const_cast<void*>(prompt)));
    sample(weights_, of, image_state, prompt_state, eps, rng, Workspace<Act>(weights_, of, Arena(workspace)),
           logits, scores, static_cast<cudaStream_t>(stream));
  }

 private:
  Sizes checked(std::int64_t n, std::int64_t t, bool map) const {
    require(n >= 0 && n <= kMostHypotheses, "expected 0 to ", kMostHypotheses, " hypotheses, came ", n);
    require(t >= 0 && t <= kMostTokens, "expected 0 to ", kMostTokens, " prompt tokens, came ", t);
    return {config, n, t, map};
  }

  Weights<Act> weights_;
};

SamplerConfig config_of(const asam_cuda_config& sizes) {
  SamplerConfig config;
  config.side = sizes.side;
  config.grid = sizes.grid;
  config.channels = sizes.channels;
  config.latent = sizes.latent;
  config.mask_tokens = sizes.mask_tokens;
  config.heads = sizes.heads;
  config.depth = sizes.depth;
  config.mlp_dim = sizes.mlp_dim;
  config.iou_layers = sizes.iou_layers;
  config.combiner_layers = sizes.combiner_layers;
  config.sampled_tokens = sizes.sampled_tokens != 0;
  config.separate_masks = sizes.separate_masks != 0;
  return config;
}

template <class T>
void expect(const char* name, const T* pointer) {
  require(pointer != nullptr, name, ": expected a pointer, got null");
}

}  // namespace

int sampler_create(const asam_cuda_config* config, const asam_cuda_tensor* tensors, int64_t count,
                   int32_t precision, asam_cuda_sampler** out) noexcept {
  return boundary([&] {
    expect("config", config);
    expect("out", out);
    const SamplerConfig sizes = config_of(*config);
    TensorMap map;
    for (const asam_cuda_tensor* tensor = tensors; tensor != tensors + count; ++tensor) {
      map[tensor->name] = {tensor->data, {tensor->shape, tensor->shape + tensor->rank}};
    }
    switch (precision) {
      case ASAM_CUDA_FLOAT32:
        *out = new Typed<float>(sizes, map);
        return;
      case ASAM_CUDA_BF16:
        *out = new Typed<Bf16>(sizes, map);
        return;
      case ASAM_CUDA_FP16:
        *out = new Typed<Fp16>(sizes, map);
        return;
      default:
        throw std::invalid_argument(concat("expected an asam_cuda_precision, came ", precision));
    }
  });
}

void sampler_retain(asam_cuda_sampler* sampler) noexcept {
  ++sampler->references;
}

void sampler_release(asam_cuda_sampler* sampler) noexcept {
  SamplerReference::release(sampler);
}

int sampler_sizes(const asam_cuda_sampler* sampler, int64_t n, int64_t t, int32_t dense_is_map,
                  asam_cuda_sizes* out) noexcept {
  return boundary([&] {
    expect("sampler", sampler);
    *out = sampler->sizes(n, t, dense_is_map != 0);
  });
}

int sampler_image(const asam_cuda_sampler* sampler, const float* d_embedding, const float* d_mu,
                  const float* d_sigma, void* d_image_state, void* stream) noexcept {
  return boundary([&] {
    expect("sampler", sampler);
    sampler->image(d_embedding, d_mu, d_sigma, d_image_state, stream);
  });
}

int sampler_prompt(const asam_cuda_sampler* sampler, const float* d_tokens, int64_t t, const float* d_dense,
                   int32_t dense_is_map, const float* d_mu, const float* d_sigma, void* d_prompt_state,
                   void* d_workspace, void* stream) noexcept {
  return boundary([&] {
    expect("sampler", sampler);
    sampler->prompt(d_tokens, t, d_dense, dense_is_map != 0, d_mu, d_sigma, d_prompt_state, d_workspace,
                    stream);
  });
}

int sampler_run(const asam_cuda_sampler* sampler, const void* d_image_state, const void* d_prompt_state,
                int64_t t, int32_t dense_is_map, int64_t n, const float* d_eps, const asam_cuda_rng* d_rng,
                float* d_logits, float* d_scores, void* d_workspace, void* stream) noexcept {
  return boundary([&] {
    expect("sampler", sampler);
    sampler->run(d_image_state, d_prompt_state, t, dense_is_map != 0, n, d_eps, d_rng, d_logits, d_scores,
                 d_workspace, stream);
  });
}

int statistics_workspace(const asam_cuda_geometry* geometry, uint64_t* bytes) noexcept {
  return boundary([&] {
    expect("geometry", geometry);
    *bytes = statistics_room(*geometry);
  });
}

int statistics(const float* d_logits, int64_t n, const asam_cuda_geometry* geometry, float threshold,
               int32_t* d_counts, int64_t* d_areas, uint64_t* d_packed, void* d_workspace,
               void* stream) noexcept {
  return boundary([&] {
    expect("geometry", geometry);
    mask_statistics(d_logits, n, *geometry, threshold, d_counts, d_areas, d_packed, d_workspace,
                    static_cast<cudaStream_t>(stream));
  });
}

}  // namespace asam::cuda
