#include "encoder/prior_weights.h"

#include <algorithm>
#include <string>
#include <utility>

namespace asam {
namespace {

class Reader : public TensorReader {
 public:
  using TensorReader::TensorReader;

  PriorLinear linear(const std::string& name, int64_t in, int64_t out,
                     const std::vector<int64_t>& bias_shape) {
    return {PackedMatrix(in, {{read(name + ".weight", {in, out}).data, out}}),
            buffer(name + ".bias", bias_shape)};
  }

  Buffer buffer(const std::string& name, const std::vector<int64_t>& shape) {
    const NamedTensor& tensor = read(name, shape);
    Buffer out(tensor.size());
    std::copy_n(tensor.data, out.size(), out.data());
    return out;
  }

  PriorConv conv(const std::string& name, int64_t from, int64_t stride, int64_t in, int64_t out) {
    PriorConv conv;
    conv.from = from;
    conv.to = (from + stride - 1) / stride;
    conv.stride = stride;
    conv.in = in;
    for (int64_t tap = 0; tap < 9; ++tap) {
      if (reaches(conv, tap / 3) && reaches(conv, tap % 3)) conv.taps.push_back(tap);
    }
    const float* weight = read(name + ".weight", {9 * in, out}).data;
    const auto rows = static_cast<int64_t>(conv.taps.size()) * in;
    Buffer kept(rows * out);
    for (size_t i = 0; i < conv.taps.size(); ++i) {
      std::copy_n(weight + conv.taps[i] * in * out, in * out,
                  kept.data() + static_cast<int64_t>(i) * in * out);
    }
    conv.product.weight = PackedMatrix(rows, {{kept.data(), out}});
    conv.product.bias = buffer(name + ".bias", {out});
    return conv;
  }

 private:
  // Whether tap 0, 1 or 2 of an axis lies in the map for some cell.
  static bool reaches(const PriorConv& conv, int64_t tap) {
    for (int64_t i = 0; i < conv.to; ++i) {
      const int64_t at = i * conv.stride + tap - 1;
      if (at >= 0 && at < conv.from) return true;
    }
    return false;
  }
};

}  // namespace

PriorWeights PriorWeights::load(const PriorConfig& config, const TensorMap& tensors) {
  config.check();
  Reader reader(tensors);
  const int64_t c = config.channels;
  PriorWeights weights;
  weights.config = config;
  if (config.sees_prompt()) {
    weights.null_token = reader.buffer("null_token", {c});
    weights.q = reader.linear("q", c, c, {config.cells(), c});
    weights.k = reader.linear("k", c, c, {c});
    weights.v = reader.linear("v", c, c, {c});
    weights.out = reader.linear("out", c, c, {c});
  }
  int64_t side = config.grid, in = config.inputs();
  for (size_t i = 0; i < config.widths.size(); ++i) {
    PriorBlock block;
    block.pools = i > 0 && !config.strided;
    if (block.pools) side = (side + 1) / 2;
    for (int64_t j = 0; j < config.convs; ++j) {
      const int64_t stride = i > 0 && j == 0 && config.strided ? 2 : 1;
      const std::string name = "blocks." + std::to_string(i) + "." + std::to_string(j);
      block.convs.push_back(reader.conv(name, side, stride, in, config.widths[i]));
      side = block.convs.back().to;
      in = config.widths[i];
    }
    weights.blocks.push_back(std::move(block));
  }
  weights.output = reader.linear("output", in, 2 * config.latent, {2 * config.latent});
  reader.expect_all_read();
  return weights;
}

}  // namespace asam
