#include "encoder/weights.h"

#include <algorithm>
#include <string>

namespace asam {
namespace {

class Reader : public TensorReader {
 public:
  Reader(const EncoderConfig& config, const TensorMap& tensors, Precision precision)
      : TensorReader(tensors), config_(config), precision_(precision) {}

  Buffer buffer(const std::string& name, const std::vector<int64_t>& shape) {
    const NamedTensor& tensor = read(name, shape);
    Buffer out(tensor.size());
    std::copy_n(tensor.data, out.size(), out.data());
    return out;
  }

  EncoderNorm norm(const std::string& name, int64_t n) {
    return {buffer(name + ".weight", {n}), buffer(name + ".bias", {n})};
  }

  Projection projection(const std::string& name, int64_t in, int64_t out, Precision precision) {
    const float* weight = read(name + ".weight", {in, out}).data;
    return Projection(in, out, weight, read(name + ".bias", {out}).data, precision);
  }

  Projection projection_without_bias(const std::string& name, int64_t in, int64_t out, Precision precision) {
    return Projection(in, out, read(name + ".weight", {in, out}).data, nullptr, precision);
  }

  EncoderBlock block(size_t i) {
    const std::string name = "blocks." + std::to_string(i);
    const int64_t d = config_.width, dim = config_.head_dim(), window = config_.window(i);
    EncoderBlock out;
    out.window = window;
    out.norm1 = norm(name + ".norm1", d);
    out.norm2 = norm(name + ".norm2", d);
    const float* bias = read(name + ".qkv.bias", {3 * d}).data;
    out.qkv =
        Projection(d, 3 * config_.heads, dim, read(name + ".qkv.weight", {d, 3 * d}).data, bias, precision_);
    out.table_h = buffer(name + ".relative_h", {2 * window - 1, dim});
    out.table_w = buffer(name + ".relative_w", {2 * window - 1, dim});
    out.padded = Buffer(2 * d);
    std::copy_n(bias + d, 2 * d, out.padded.data());
    out.out = projection(name + ".out", d, d, precision_);
    out.mlp0 = projection(name + ".mlp.0", d, config_.mlp_dim, precision_);
    out.mlp1 = projection(name + ".mlp.1", config_.mlp_dim, d, precision_);
    return out;
  }

 private:
  const EncoderConfig& config_;
  Precision precision_;
};

}  // namespace

EncoderWeights EncoderWeights::load(const EncoderConfig& config, const TensorMap& tensors,
                                    Precision precision) {
  config.check();
  Reader reader(config, tensors, precision);
  const int64_t d = config.width, c = config.channels;
  EncoderWeights out;
  out.config = config;
  out.precision = precision;
  out.patch = reader.projection("patch", config.patch_size(), d, patch_precision(precision));
  out.position = reader.buffer("position", {config.cells(), d});
  for (size_t i = 0; i < config.windows.size(); ++i) out.blocks.push_back(reader.block(i));
  out.neck0 = reader.projection_without_bias("neck.0", d, c, kNeck);
  out.norm0 = reader.norm("neck.1", c);
  out.neck1 = reader.projection_without_bias("neck.2", 9 * c, c, kNeck);
  out.norm1 = reader.norm("neck.3", c);
  reader.expect_all_read();
  return out;
}

}  // namespace asam
