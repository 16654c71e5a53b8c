#include "sampler/workspace.h"

#include <algorithm>

#include "ops/upscale.h"

namespace asam {
namespace {

constexpr int64_t kChunk = Workspace::kChunk;

int64_t attention_room(const SamplerConfig& config, int64_t tokens) {
  const int64_t c = config.channels, heads = config.heads;
  const auto room = [&](int64_t queries, int64_t keys, int64_t width) {
    return attention_scratch({.queries = queries, .keys = keys, .heads = heads, .dim = width / heads});
  };
  return std::max({room(tokens, tokens, c), room(tokens, kChunk, c / 2), room(kChunk, tokens, c / 2)});
}

int64_t sums_room(const SamplerConfig& config, int64_t tokens) {
  const int64_t heads = config.heads;
  return attention_sums({.queries = tokens, .heads = heads, .dim = config.channels / 2 / heads});
}

}  // namespace

Workspace::Workspace(const SamplerWeights& weights, int64_t block_size, int64_t token_count, int member_count)
    : block(block_size), tokens(token_count) {
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
  src = Buffer(block * cells * c);
  cell_kv = Buffer((member_count > 1 ? cells : std::min(cells, kChunk)) * c);
  queries = Buffer(rows * c);
  with_point = Buffer(rows * c);
  self_qk = Buffer(rows * 2 * c);
  self_v = Buffer(rows * c);
  token_mixed = Buffer(rows * c);
  image_q = Buffer(rows * half);
  token_k = Buffer(rows * half);
  token_v = Buffer(rows * half);
  head_a = Buffer(config.mask_tokens * block * c);
  head_b = Buffer(config.mask_tokens * block * c);
  iou_a = Buffer(block * weights.widest_iou());
  iou_b = Buffer(block * weights.widest_iou());
  hyper = Buffer(block * config.masks() * (c / 8));
  if (config.sampled_tokens) {
    point = Buffer(rows * c);
    prefix = PrefixScratch(config, tokens);
  }
  const int64_t most = std::max(kChunk, block), widest = std::max({c, config.mlp_dim, weights.widest_iou()});
  const bool words = in_words(weights.precision), bytes = weights.precision == Precision::int8;
  for (int i = 0; i < member_count; ++i) {
    members.push_back(
        {Buffer(kChunk * c),
         Buffer(kChunk * c),
         Buffer(kChunk * half),
         Buffer(kChunk * half),
         Buffer(kChunk * config.mlp_dim),
         Buffer(attention_room(config, tokens)),
         Buffer(upscale_scratch(c)),
         Buffer(sums_room(config, tokens)),
         {words ? Int16Rows(most, widest) : Int16Rows(), bytes ? Int8Rows(most, widest) : Int8Rows()}});
  }
}

}  // namespace asam
