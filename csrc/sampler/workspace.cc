#include "sampler/workspace.h"

#include <algorithm>

#include "ops/upscale.h"

namespace asam {
namespace {

int64_t attention_room(const SamplerConfig& config, int64_t tokens, int64_t chunk) {
  const int64_t c = config.channels, heads = config.heads, cells = config.cells();
  const auto room = [&](int64_t queries, int64_t keys, int64_t width) {
    return attention_scratch({.queries = queries, .keys = keys, .heads = heads, .dim = width / heads});
  };
  return std::max({room(tokens, tokens, c), room(tokens, cells, c / 2), room(chunk, tokens, c / 2)});
}

}  // namespace

template <class Act>
Workspace<Act>::Workspace(const SamplerWeights& weights, int64_t block_size, int64_t token_count,
                          int member_count)
    : block(block_size), tokens(token_count) {
  using Acts = BufferOf<Act>;
  const SamplerConfig& config = weights.config;
  const int64_t c = config.channels, half = c / 2, cells = config.cells(), rows = block * tokens;
  eps = Buffer(block * 2 * config.latent);
  z_prompt = Buffer(block * config.latent);
  z_image = Buffer(block * config.latent);
  latent_prompt = Buffer(block * c);
  latent_image = Buffer(block * c);
  dense = Buffer(block * c);
  dense_a = Buffer(block * c);
  dense_b = Buffer(block * c);
  src = Dual<Act>(block * cells * c);
  cell_kv = Buffer(cells * c);
  queries = Dual<Act>(rows * c);
  with_point = Acts(rows * c);
  self_qk = Buffer(rows * 2 * c);
  self_v = Buffer(rows * c);
  token_mixed = Buffer(rows * c);
  image_q = Buffer(rows * half);
  token_k = Buffer(rows * half);
  token_v = Buffer(rows * half);
  head_a = Buffer(config.mask_tokens * block * c);
  head_b = Buffer(config.mask_tokens * block * c);
  iou_a = Acts(block * weights.widest_iou());
  iou_b = Acts(block * weights.widest_iou());
  hyper = Buffer(block * config.masks() * (c / 8));
  if (config.sampled_tokens) {
    point = Buffer(rows * c);
    token_a = Buffer(tokens * c);
    token_b = Buffer(tokens * c);
    prefix = PrefixScratch(config, tokens);
  }
  for (int i = 0; i < member_count; ++i) {
    members.push_back({Acts(kChunk * c), Acts(kChunk * c), Buffer(kChunk * half), Buffer(kChunk * half),
                       Acts(kChunk * config.mlp_dim), Buffer(attention_room(config, tokens, kChunk)),
                       Buffer(upscale_scratch(c))});
  }
}

template struct Workspace<float>;
template struct Workspace<Bf16>;

}  // namespace asam
