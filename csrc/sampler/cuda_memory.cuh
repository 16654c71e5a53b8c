// Where everything lies in the memory that a caller of the CUDA sampler brings: image state, prompt state,
// workspace. Each is laid out by one function that runs over null, to count the bytes, or over the memory.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "sampler/cuda_weights.cuh"

namespace asam::cuda {

class Arena {
 public:
  explicit Arena(void* base) : base_(static_cast<std::byte*>(base)) {}

  template <class T>
  T* take(std::int64_t count) {
    constexpr std::size_t kAlignment = 256;
    const std::size_t at = used_;
    used_ += (static_cast<std::size_t>(count) * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
    return base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + at);
  }
  std::size_t used() const { return used_; }

 private:
  std::byte* base_;
  std::size_t used_ = 0;
};

// Of one call: n hypotheses, t prompt tokens, whether the dense prompt is a map.
struct Sizes {
  Sizes(const SamplerConfig& config, std::int64_t hypotheses, std::int64_t prompt_tokens, bool dense_map)
      : n(hypotheses),
        t(prompt_tokens),
        map(dense_map),
        tokens(config.output_tokens() + prompt_tokens),
        sampled(config.sampled_tokens && prompt_tokens > 0),
        dense_rows(dense_map ? config.cells() : 1) {}

  std::int64_t n, t;
  bool map;
  std::int64_t tokens;  // T
  bool sampled;         // the prompt tokens differ between hypotheses
  std::int64_t dense_rows;
};

struct ImageState {
  ImageState(const SamplerConfig& config, Arena arena) : ImageState(config, &arena) {}
  ImageState(const SamplerConfig& config, Arena* arena)
      : combined(arena->take<float>(config.cells() * config.channels)),
        mu(arena->take<float>(config.latent)),
        sigma(arena->take<float>(config.latent)),
        bytes(arena->used()) {}

  float* combined;    // [P, C]: G = F W_f + b (identity 2)
  float *mu, *sigma;  // [L]
  std::size_t bytes;
};

template <class Act>
struct PromptState {
  PromptState(const SamplerConfig& config, const Sizes& sizes, Arena arena)
      : combined(arena.take<float>(sizes.dense_rows * config.channels)),
        mu(arena.take<float>(config.latent)),
        sigma(arena.take<float>(config.latent)),
        point(arena.take<float>(sizes.tokens * config.channels)) {
    if (sizes.sampled) {
      token_combined = arena.take<float>(sizes.t * config.channels);
    } else {
      queries = arena.take<float>(sizes.tokens * config.channels);
      image_queries = arena.take<Act>(sizes.tokens * config.channels / 2);
    }
    bytes = arena.used();
  }

  float* combined;                  // [1 or P, C] (identity 3)
  float *mu, *sigma;                // [L]
  float* point;                     // [T, C], output tokens then prompt tokens
  float* queries = nullptr;         // [T, C], after the first self-attention and its norm (identity 4)
  Act* image_queries = nullptr;     // [T, C/2], of the first token-to-image attention (identity 4)
  float* token_combined = nullptr;  // [t, C], where the tokens are sampled, in place of the two above
  std::size_t bytes = 0;
};

// Of run_prefix over some rows of tokens.
struct PrefixRoom {
  PrefixRoom(const SamplerConfig& config, std::int64_t rows, Arena& arena)
      : qk(arena.take<float>(rows * 2 * config.channels)),
        v(arena.take<float>(rows * config.channels)),
        mixed(arena.take<float>(rows * config.channels)),
        with_point(arena.take<float>(rows * config.channels)),
        image_queries(arena.take<float>(rows * config.channels / 2)) {}

  float *qk, *v, *mixed, *with_point, *image_queries;
};

template <class Act>
struct Workspace {
  Workspace(const Weights<Act>& weights, const Sizes& sizes, Arena arena)
      : Workspace(weights, weights.config, sizes, arena, sizes.n * sizes.tokens,
                  sizes.n * weights.config.cells() * weights.config.channels) {}

  float *z, *latent;                    // [2, n, L]; [2, n, C]: prompt, image
  float *dense, *dense_a, *dense_b;     // [n, C]
  float* src;                           // [n P, C]
  Act* src_act;                         // the same as products take it
  Act *cells_a, *cells_b;               // [n P, C]
  float* queries;                       // [n T, C]
  Act* token_acts;                      // [2, n T, C]: queries, queries + point
  Act *of_point, *of_queries;           // [n T, 5/2 C], [n T, 3/2 C]
  Act *token_mixed, *hidden, *image_q;  // [n T, C], [n T, M], [n T, C/2]
  Act *head_a, *head_b;                 // [n, K, C]
  Act *iou_a, *iou_b;                   // [n, widest]
  float* hyper;                         // [M, n, C/8]
  float *point, *token_a, *token_b;     // sampled tokens: [n T, C], [n t, C]
  PrefixRoom prefix;  // for the rows of all hypotheses where tokens are sampled, else of one
  std::size_t bytes;

  static constexpr bool kOneType = std::is_same_v<Act, float>;

 private:
  Workspace(const Weights<Act>& weights, const SamplerConfig& config, const Sizes& sizes, Arena& arena,
            std::int64_t rows, std::int64_t cells)
      : z(arena.take<float>(2 * sizes.n * config.latent)),
        latent(arena.take<float>(2 * sizes.n * config.channels)),
        dense(arena.take<float>(sizes.n * config.channels)),
        dense_a(arena.take<float>(sizes.n * config.channels)),
        dense_b(arena.take<float>(sizes.n * config.channels)),
        src(arena.take<float>(cells)),
        src_act(one_or(src, arena, cells)),
        cells_a(arena.take<Act>(cells)),
        cells_b(arena.take<Act>(cells)),
        queries(arena.take<float>(rows * config.channels)),
        token_acts(arena.take<Act>(2 * rows * config.channels)),
        of_point(arena.take<Act>(rows * config.channels / 2 * 5)),
        of_queries(arena.take<Act>(rows * config.channels / 2 * 3)),
        token_mixed(arena.take<Act>(rows * config.channels)),
        hidden(arena.take<Act>(rows * config.mlp_dim)),
        image_q(arena.take<Act>(rows * config.channels / 2)),
        head_a(arena.take<Act>(sizes.n * config.mask_tokens * config.channels)),
        head_b(arena.take<Act>(sizes.n * config.mask_tokens * config.channels)),
        iou_a(arena.take<Act>(sizes.n * weights.widest_iou)),
        iou_b(arena.take<Act>(sizes.n * weights.widest_iou)),
        hyper(arena.take<float>(sizes.n * config.masks() * config.channels / 8)),
        point(sizes.sampled ? arena.take<float>(rows * config.channels) : nullptr),
        token_a(sizes.sampled ? arena.take<float>(sizes.n * sizes.t * config.channels) : nullptr),
        token_b(sizes.sampled ? arena.take<float>(sizes.n * sizes.t * config.channels) : nullptr),
        prefix(config, sizes.sampled ? rows : sizes.tokens, arena),
        bytes(arena.used()) {}

  static Act* one_or(float* wide, Arena& arena, std::int64_t count) {
    if constexpr (kOneType) {
      return wide;
    } else {
      return arena.take<Act>(count);
    }
  }
};

}  // namespace asam::cuda
