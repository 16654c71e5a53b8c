#include "encoder/tiny_workspace.h"

#include <algorithm>

namespace asam {

BottleneckScratch::BottleneckScratch(const TinyBottleneck& bottleneck, int64_t wide, Precision precision)
    : row(wide, bottleneck.expand.in(), precision),
      ring(3 * wide * bottleneck.expand.out()),
      mixed((wide - 1) / bottleneck.stride + 1, bottleneck.expand.out(), precision) {}

BlockScratch::BlockScratch(const TinyConfig::Stage& stage, const std::vector<WindowPart>& windows,
                           int64_t row_count, Precision precision)
    : rows(row_count),
      local(row_count * stage.width),
      normed(row_count, stage.width, precision),
      hidden(row_count, TinyConfig::kExpansion * stage.width, precision) {
  const int64_t stride = Projection::group_width(stage.head_dim());
  int64_t most = 0;
  for (const WindowPart& window : windows) most = std::max(most, window.high * window.wide);
  q = Buffer(most * stride);
  k = Buffer((most + 1) * stride);
  v = Buffer((most + 1) * stride);
  mixed = Buffer(most * stage.head_dim());
  scores =
      Buffer(attention_scratch({.queries = most, .keys = most + 1, .heads = 1, .dim = stage.head_dim()}));
}

TinyScratch::TinyScratch(const TinyWeights& weights) {
  const TinyConfig& config = weights.config;
  const Precision outside = outside_blocks(weights.precision);
  const int64_t wide = config.side / config.patch_stride(), taps = config.patch_taps();
  const int64_t c = config.stages[0].width;
  pixels = Rows(wide, taps * TinyConfig::kColours, kFirstPatch);
  if (taps > 1) patches = Buffer(3 * wide * c / 2);
  neighbours = Rows(config.grid(0), taps * c / 2, outside);
  for (size_t i = 0; i < config.stages.size(); ++i) {
    const TinyStage& stage = weights.stages[i];
    const int64_t grid = config.grid(i), before = config.grid(i > 0 ? i - 1 : 0);
    convolutions[i].emplace(stage.convolutions.front(), before, outside);
    if (stage.blocks.empty()) continue;
    const int64_t rows = std::max(grid, TinyWorkspace::kRows / grid * grid);
    blocks[i].emplace(config.stages[i], stage.windows, rows, weights.precision);
  }
}

TinyWorkspace::TinyWorkspace(const TinyWeights& weights, int most_threads)
    : neck(weights.neck, outside_blocks(weights.precision), most_threads) {
  const TinyConfig& config = weights.config;
  int64_t most = 0, most_qkv = 0, most_mixed = 0;
  for (size_t i = 0; i < config.stages.size(); ++i) {
    const TinyConfig::Stage& stage = config.stages[i];
    const int64_t cells = config.grid(i) * config.grid(i);
    most = std::max(most, cells * stage.width);
    if (i == 0) continue;
    most_qkv = std::max(most_qkv, cells * 3 * stage.heads * Projection::group_width(stage.head_dim()));
    most_mixed = std::max(most_mixed, cells * stage.width);
  }
  x = Buffer(most);
  y = Buffer(most);
  qkv = Buffer(most_qkv);
  mixed = Buffer(most_mixed);
  for (int i = 0; i < most_threads; ++i) scratch.emplace_back(weights);
}

}  // namespace asam
