// Weights of a TinyViT image encoder, checked once and packed for the kernels; batch norms are in them.
#pragma once

#include <array>
#include <vector>

#include "core/named_tensors.h"
#include "core/precision.h"
#include "encoder/neck.h"
#include "encoder/projection.h"
#include "encoder/reader.h"
#include "encoder/tiny_config.h"
#include "encoder/windows.h"
#include "ops/attention.h"
#include "ops/buffer.h"

namespace asam {

// 3 x 3 by channel.
struct TinyDepthwise {
  Buffer weight;  // [9, c]
  Buffer bias;    // [c]
};

// project(gelu(depthwise(gelu(expand(x))))); with a residual, gelu(x + that).
struct TinyBottleneck {
  int64_t stride = 1;
  bool residual = false;
  Projection expand;
  TinyDepthwise depthwise;
  Projection project;
};

// Real cells of a window, along each side.
struct WindowSize {
  int64_t high = 0, wide = 0;
};

// What raises the scores in windows of one size.
struct TinyWindowBias {
  int64_t keys = 0;  // the real cells, and one for all padded ones where there are any
  int64_t stride = 0;
  Buffer values;  // [heads, keys, stride], see AttentionBias

  AttentionBias of(int64_t head) const { return {values.data() + head * keys * stride, stride}; }
};

struct TinyBlock {
  EncoderNorm norm1;
  Projection qkv;                      // [c, 3c], in groups of a head: its queries, keys or values
  Buffer padded;                       // [2, heads, d]: key and value of a padded cell
  std::vector<TinyWindowBias> biases;  // of each of the stage's sizes of windows
  Projection out;                      // [c, c]
  TinyDepthwise depthwise;
  EncoderNorm norm2;
  Projection mlp0, mlp1;  // [c, 4c], [4c, c]
};

struct TinyStage {
  std::vector<TinyBottleneck> convolutions;  // stage 0's blocks; the merging that leads to another stage
  std::vector<TinyBlock> blocks;
  std::vector<WindowPart> windows;
  std::vector<WindowSize> sizes;  // those that the windows have, each once
  std::vector<size_t> size_of;    // of each window, an index into them
};

struct TinyWeights {
  TinyConfig config;
  Precision precision = Precision::float32;
  Projection patch0;  // [3 t, c / 2], t taps, 9 or 1: colour, row, column of the pixel
  Projection patch1;  // [t c / 2, c]: row, column, channel
  std::array<TinyStage, TinyConfig::kStages> stages;
  NeckWeights neck;

  // Copies what it needs. Throws std::invalid_argument naming the tensor: missing, unknown, another shape,
  // NaN or Inf.
  static TinyWeights load(const TinyConfig& config, const TensorMap& tensors, Precision precision);
};

// The first product, of raw pixels, and few: a hundredth of all.
inline constexpr Precision kFirstPatch = Precision::float32;

}  // namespace asam
