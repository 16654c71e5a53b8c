#include "encoder/weights.h"

#include <algorithm>
#include <string>

namespace asam {
namespace {

class Reader : public EncoderReader {
 public:
  Reader(const EncoderConfig& config, const TensorMap& tensors, Precision precision)
      : EncoderReader(tensors), config_(config), precision_(precision) {}

  EncoderBlock block(size_t i) {
    const std::string name = "blocks." + std::to_string(i);
    const int64_t d = config_.width, dim = config_.head_dim(), window = config_.window(i);
    EncoderBlock out;
    out.window = window;
    out.norm1 = norm(name + ".norm1", d);
    out.norm2 = norm(name + ".norm2", d);
    out.qkv = projection_by_head(name + ".qkv", d, config_.heads, dim, precision_);
    out.table_h = buffer(name + ".relative_h", {2 * window - 1, dim});
    out.table_w = buffer(name + ".relative_w", {2 * window - 1, dim});
    out.padded = Buffer(2 * d);
    std::copy_n(read(name + ".qkv.bias", {3 * d}).data + d, 2 * d, out.padded.data());
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
  const int64_t d = config.width;
  EncoderWeights out;
  out.config = config;
  out.precision = precision;
  out.patch = reader.projection("patch", config.patch_size(), d, outside_blocks(precision));
  out.position = reader.buffer("position", {config.cells(), d});
  for (size_t i = 0; i < config.windows.size(); ++i) out.blocks.push_back(reader.block(i));
  out.neck = NeckWeights::load(reader, config.grid(), d, config.channels, kNeck);
  reader.expect_all_read();
  return out;
}

}  // namespace asam
