#include "sampler/weights.h"

#include <algorithm>
#include <string>

#include "core/errors.h"
#include "core/tensor.h"

namespace asam {
namespace {

using Extents = std::vector<int64_t>;

class Reader : public TensorReader {
 public:
  Reader(const SamplerConfig& config, const TensorMap& tensors, Precision precision)
      : TensorReader(tensors),
        config_(config),
        packing_(in_words(precision) ? Packing::int16 : Packing::float32),
        coarse_(precision == Precision::int8 ? Packing::int8 : packing_) {}

  Buffer buffer(const std::string& name, const Extents& shape) {
    const NamedTensor& tensor = read(name, shape);
    Buffer out(tensor.size());
    std::copy_n(tensor.data, out.size(), out.data());
    return out;
  }

  // A vector several times over.
  Buffer repeated(const std::string& name, int64_t n, int64_t times) {
    const NamedTensor& tensor = read(name, {n});
    Buffer out(n * times);
    for (int64_t i = 0; i < times; ++i) std::copy_n(tensor.data, n, out.data() + i * n);
    return out;
  }

  Weight matrix(const std::string& name, int64_t in, int64_t out, Packing packing) {
    return Weight(in, {{read(name, {in, out}).data, out}}, packing);
  }
  Weight matrix(const std::string& name, int64_t in, int64_t out) { return matrix(name, in, out, packing_); }

  Linear linear(const std::string& name, int64_t in, int64_t out, Packing packing) {
    return {matrix(name + ".weight", in, out, packing), buffer(name + ".bias", {out})};
  }
  Linear linear(const std::string& name, int64_t in, int64_t out) { return linear(name, in, out, packing_); }

  Norm norm(const std::string& name, int64_t n) {
    return {buffer(name + ".weight", {n}), buffer(name + ".bias", {n})};
  }

  Combiner combiner(const std::string& name) {
    const int64_t c = config_.channels;
    if (!config_.combines()) return {};
    Combiner out{{matrix(name + ".feature", c, c, Packing::float32), buffer(name + ".bias0", {c})},
                 matrix(name + ".latent", config_.latent, c, Packing::float32),
                 {}};
    for (int64_t i = 1; i < config_.combiner_layers; ++i) {
      out.layers.push_back(linear(name + ".layers." + std::to_string(i), c, c));
    }
    return out;
  }

  // Two products over the same cells side by side: keys (with position) and values, without their bias.
  CellLinear keys_values(const std::string& name) {
    const int64_t c = config_.channels, half = c / 2;
    const float* keys = read(name + ".k.weight", {c, half}).data;
    const float* values = read(name + ".v.weight", {c, half}).data;
    read(name + ".k.bias", {half});  // part of k.pe
    return {Weight(c, {{keys, half}, {values, half}}, coarse_), half,
            buffer(name + ".k.pe", {config_.cells(), half})};
  }

  // What follows an attention over such values: shares sum to 1, so every mixture has their bias b_v, and
  // (x + b_v) W + b = x W + (b_v W + b).
  Linear after_values(const std::string& name) {
    const int64_t c = config_.channels, half = c / 2;
    Linear out = linear(name + ".out", half, c);
    const float* weight = read(name + ".out.weight", {half, c}).data;
    const float* bias = read(name + ".v.bias", {half}).data;
    for (int64_t j = 0; j < c; ++j) {
      double sum = out.bias.data()[j];
      for (int64_t i = 0; i < half; ++i) sum += static_cast<double>(bias[i]) * weight[i * c + j];
      out.bias.data()[j] = static_cast<float>(sum);
    }
    return out;
  }

  CellLinear cell_queries(const std::string& name) {
    const int64_t c = config_.channels, half = c / 2;
    read(name + ".bias", {half});  // part of .pe
    return {matrix(name + ".weight", c, half), half, buffer(name + ".pe", {config_.cells(), half})};
  }

  Linear queries_keys(const std::string& name, Packing packing) {
    const int64_t c = config_.channels;
    const float* queries = read(name + ".q.weight", {c, c}).data;
    const float* keys = read(name + ".k.weight", {c, c}).data;
    const float* query_bias = read(name + ".q.bias", {c}).data;
    const float* key_bias = read(name + ".k.bias", {c}).data;
    Linear out{Weight(c, {{queries, c}, {keys, c}}, packing), Buffer(2 * c)};
    std::copy_n(query_bias, c, out.bias.data());
    std::copy_n(key_bias, c, out.bias.data() + c);
    return out;
  }

  TwoWayLayer layer(int64_t i) {
    const int64_t c = config_.channels, half = c / 2;
    const std::string name = "layers." + std::to_string(i);
    const Packing prefix = i == 0 ? Packing::float32 : packing_;
    TwoWayLayer out;
    out.self_qk = queries_keys(name + ".self_attn", prefix);
    out.self_v = linear(name + ".self_attn.v", c, c, prefix);
    out.self_out = linear(name + ".self_attn.out", c, c, prefix);
    out.norm1 = norm(name + ".norm1", c);
    out.norm2 = norm(name + ".norm2", c);
    out.norm3 = norm(name + ".norm3", c);
    out.norm4 = norm(name + ".norm4", c);
    out.token_q = linear(name + ".token_to_image.q", c, half, prefix);
    out.image_kv = keys_values(name + ".token_to_image");
    out.token_out = after_values(name + ".token_to_image");
    out.mlp0 = linear(name + ".mlp.0", c, config_.mlp_dim, coarse_);
    out.mlp1 = linear(name + ".mlp.1", config_.mlp_dim, c, coarse_);
    out.image_q = cell_queries(name + ".image_to_token.q");
    out.token_k = linear(name + ".image_to_token.k", c, half);
    out.token_v = linear(name + ".image_to_token.v", c, half);
    out.image_out = linear(name + ".image_to_token.out", half, c);
    return out;
  }

  UpscaleWeights upscale() {
    const int64_t c = config_.channels;
    return {matrix("upscale.0.weight", c, c),       matrix("upscale.1.weight", c / 4, c / 2),
            repeated("upscale.0.bias", c / 4, 4),   repeated("upscale.1.bias", c / 8, 4),
            buffer("upscale.norm.weight", {c / 4}), buffer("upscale.norm.bias", {c / 4})};
  }

  std::vector<Linear> hyper(const std::string& name) {
    const int64_t c = config_.channels;
    std::vector<Linear> out;
    for (int64_t i = 0; i < 3; ++i)
      out.push_back(linear(name + "." + std::to_string(i), c, i == 2 ? c / 8 : c));
    return out;
  }

  // Hidden widths are the file's own; each layer's input is the output before it.
  std::vector<Linear> iou() {
    std::vector<Linear> out;
    int64_t in = config_.channels;
    for (int64_t i = 0; i < config_.iou_layers; ++i) {
      const std::string name = "iou." + std::to_string(i);
      const bool last = i + 1 == config_.iou_layers;
      const int64_t width = read(name + ".weight", {in, last ? config_.masks() : -1}).shape[1];
      out.push_back(linear(name, in, width));
      in = width;
    }
    return out;
  }

 private:
  const SamplerConfig& config_;
  const Packing packing_;
  const Packing coarse_;  // of what int8 takes to 8 bits
};

}  // namespace

int64_t SamplerWeights::widest_iou() const {
  int64_t widest = 0;
  for (const Linear& layer : iou) widest = std::max(widest, layer.weight.out());
  return widest;
}

SamplerWeights SamplerWeights::load(const SamplerConfig& config, const TensorMap& tensors,
                                    Precision precision) {
  config.check();
  Reader reader(config, tensors, precision);
  const int64_t c = config.channels, half = c / 2;
  SamplerWeights out;
  out.config = config;
  out.precision = precision;
  out.combiner_image = reader.combiner("combiner_image");
  out.combiner_prompt = reader.combiner("combiner_prompt");
  reader.read("pe", {config.cells(), c});  // already inside the position terms
  out.output_tokens = reader.buffer("output_tokens", {config.output_tokens(), c});
  for (int64_t i = 0; i < config.depth; ++i) out.layers.push_back(reader.layer(i));
  out.final_q = reader.linear("final.q", c, half);
  out.final_kv = reader.keys_values("final");
  out.final_out = reader.after_values("final");
  out.final_norm = reader.norm("final.norm", c);
  out.upscale = reader.upscale();
  for (int64_t k = 0; k < config.mask_tokens; ++k)
    out.hyper.push_back(reader.hyper("hyper." + std::to_string(k)));
  out.iou = reader.iou();
  reader.expect_all_read("prompt.");
  return out;
}

}  // namespace asam
