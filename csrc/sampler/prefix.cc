#include "sampler/prefix.h"

namespace asam {
namespace {

constexpr float kNormEps = 1e-5f;  // nn.LayerNorm

AttentionShape shape_of(const SamplerConfig& config, int64_t tokens) {
  const int64_t c = config.channels;
  return {.queries = tokens,
          .keys = tokens,
          .heads = config.heads,
          .dim = c / config.heads,
          .q_stride = 2 * c,
          .k_stride = 2 * c,
          .v_stride = c,
          .out_stride = c};
}

}  // namespace

PrefixScratch::PrefixScratch(const SamplerConfig& config, int64_t tokens)
    : qk(tokens * 2 * config.channels),
      v(tokens * config.channels),
      mixed(tokens * config.channels),
      with_point(tokens * config.channels),
      attention(attention_scratch(shape_of(config, tokens))) {}

void run_prefix(const Kernels& kernels, const SamplerWeights& weights, int64_t tokens, const float* point,
                PrefixScratch& scratch, float* queries, float* image_queries) {
  const TwoWayLayer& layer = weights.layers.front();
  const Arithmetic ops(kernels);
  const int64_t c = weights.config.channels;
  const auto linear = [&](const Linear& to, const float* from, float* out) {
    ops.matmul(from, to.weight.in(), tokens, to.weight, to.epilogue(), out, to.weight.out());
  };
  // SAM's first self-attention has neither positions nor a residual.
  linear(layer.self_qk, point, scratch.qk.data());
  linear(layer.self_v, point, scratch.v.data());
  kernels.attend(shape_of(weights.config, tokens), scratch.qk.data(), scratch.qk.data() + c, scratch.v.data(),
                 {}, scratch.mixed.data(), scratch.attention.data());
  linear(layer.self_out, scratch.mixed.data(), queries);
  ops.norm(queries, tokens, c, layer.norm1.weight.data(), layer.norm1.bias.data(), kNormEps, queries);
  ops.add_rows(queries, tokens, c, point, tokens, false, scratch.with_point.data());
  linear(layer.token_q, scratch.with_point.data(), image_queries);
}

}  // namespace asam
