#include "encoder/tiny_weights.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>

namespace asam {
namespace {

TinyWindowBias window_bias(const float* table, int64_t heads, int64_t window, const WindowSize& size) {
  const auto [high, wide] = size;
  const int64_t cells = high * wide, step = AttentionBias::kStep;
  TinyWindowBias out{.keys = cells + (cells < window * window ? 1 : 0),
                     .stride = (cells + step - 1) / step * step,
                     .values = {}};
  out.values = Buffer(heads * out.keys * out.stride);
  for (int64_t head = 0; head < heads; ++head) {
    const float* of_head = table + head * window * window;
    float* values = out.values.data() + head * out.keys * out.stride;
    for (int64_t i = 0; i < cells; ++i) {
      double top = -INFINITY, total = 0.0;  // of the padded cells
      for (int64_t key = 0; key < window * window; ++key) {
        const int64_t y = key / window, x = key % window;
        const float bias = of_head[std::abs(i / wide - y) * window + std::abs(i % wide - x)];
        if (y < high && x < wide) {
          values[(y * wide + x) * out.stride + i] = bias;
        } else if (bias > top) {
          total = total * std::exp(top - bias) + 1.0;
          top = bias;
        } else {
          total += std::exp(bias - top);
        }
      }
      if (out.keys > cells) values[cells * out.stride + i] = static_cast<float>(top + std::log(total));
    }
  }
  return out;
}

void cut_windows(int64_t grid, int64_t window, TinyStage& stage) {
  stage.windows = window_parts(grid, window, window * window);
  for (const WindowPart& part : stage.windows) {
    const auto known = std::find_if(stage.sizes.begin(), stage.sizes.end(), [&](const WindowSize& size) {
      return size.high == part.high && size.wide == part.wide;
    });
    stage.size_of.push_back(static_cast<size_t>(known - stage.sizes.begin()));
    if (known == stage.sizes.end()) stage.sizes.push_back({part.high, part.wide});
  }
}

class Reader : public EncoderReader {
 public:
  Reader(const TensorMap& tensors, Precision precision) : EncoderReader(tensors), precision_(precision) {}

  TinyDepthwise depthwise(const std::string& name, int64_t channels) {
    return {buffer(name + ".weight", {9, channels}), buffer(name + ".bias", {channels})};
  }

  TinyBottleneck bottleneck(const std::string& name, int64_t in, int64_t inner, int64_t out, int64_t stride,
                            bool residual) {
    return {.stride = stride,
            .residual = residual,
            .expand = projection(name + ".expand", in, inner, outside_blocks(precision_)),
            .depthwise = depthwise(name + ".depthwise", inner),
            .project = projection(name + ".project", inner, out, outside_blocks(precision_))};
  }

  TinyBlock block(const std::string& name, const TinyConfig::Stage& stage,
                  const std::vector<WindowSize>& sizes) {
    const int64_t c = stage.width, heads = stage.heads, dim = stage.head_dim();
    TinyBlock out;
    out.norm1 = norm(name + ".norm1", c);
    out.qkv = projection_by_head(name + ".qkv", c, heads, dim, precision_);
    out.padded = buffer(name + ".padded", {2, heads, dim});
    const float* table = read(name + ".biases", {heads, stage.window * stage.window}).data;
    for (const WindowSize& size : sizes) out.biases.push_back(window_bias(table, heads, stage.window, size));
    out.out = projection(name + ".out", c, c, precision_);
    out.depthwise = depthwise(name + ".depthwise", c);
    out.norm2 = norm(name + ".norm2", c);
    out.mlp0 = projection(name + ".mlp.0", c, TinyConfig::kExpansion * c, precision_);
    out.mlp1 = projection(name + ".mlp.1", TinyConfig::kExpansion * c, c, precision_);
    return out;
  }

 private:
  Precision precision_;
};

}  // namespace

TinyWeights TinyWeights::load(const TinyConfig& config, const TensorMap& tensors, Precision precision) {
  config.check();
  Reader reader(tensors, precision);
  TinyWeights out;
  out.config = config;
  out.precision = precision;
  const int64_t first = config.stages[0].width;
  const int64_t taps = config.patch_taps();
  out.patch0 = reader.projection("patch.0", taps * TinyConfig::kColours, first / 2, kFirstPatch);
  out.patch1 = reader.projection("patch.1", taps * first / 2, first, outside_blocks(precision));
  for (size_t i = 0; i < config.stages.size(); ++i) {
    const TinyConfig::Stage& sizes = config.stages[i];
    const std::string name = "stages." + std::to_string(i);
    TinyStage& stage = out.stages[i];
    if (i > 0) {
      const int64_t before = config.stages[i - 1].width;
      stage.convolutions.push_back(reader.bottleneck(name + ".merge", before, sizes.width, sizes.width,
                                                     TinyConfig::kStrides[i], false));
      cut_windows(config.grid(i), sizes.window, stage);
    }
    for (int64_t b = 0; b < sizes.depth; ++b) {
      const std::string block = name + ".blocks." + std::to_string(b);
      if (i > 0) {
        stage.blocks.push_back(reader.block(block, sizes, stage.sizes));
      } else {
        const int64_t inner = TinyConfig::kExpansion * sizes.width;
        stage.convolutions.push_back(reader.bottleneck(block, sizes.width, inner, sizes.width, 1, true));
      }
    }
  }
  out.neck = NeckWeights::load(reader, config.grid(), config.stages.back().width, config.channels,
                               outside_blocks(precision));
  reader.expect_all_read();
  return out;
}

}  // namespace asam
