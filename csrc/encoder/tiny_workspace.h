// Scratch of one running image in a TinyViT encoder, sized once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "encoder/tiny_weights.h"
#include "ops/buffer.h"

namespace asam {

// Rows of the grid that pass through one bottleneck, of one thread.
struct BottleneckScratch {
  BottleneckScratch(const TinyBottleneck& bottleneck, int64_t wide, Precision precision);

  Rows row;     // [wide, in], of what is read
  Buffer ring;  // [3, wide, inner], expanded rows y - 1, y, y + 1, row i in place i mod 3
  Rows mixed;   // [out wide, inner]
};

// Of one thread in the transformer blocks of one stage.
struct BlockScratch {
  BlockScratch(const TinyConfig::Stage& stage, const std::vector<WindowPart>& windows, int64_t rows,
               Precision precision);

  int64_t rows;                   // cells that pass together
  Buffer local;                   // [rows, c]
  Rows normed;                    // [rows, c]
  Rows hidden;                    // [rows, 4c]
  Buffer q, k, v, mixed, scores;  // of one head of one window
};

// Of one thread of the team.
struct TinyScratch {
  explicit TinyScratch(const TinyWeights& weights);

  // Of 3 x 3 pixels, or where stage 0 is at every pixel of one, and then there is no ring.
  Rows pixels;      // [S / 2, 3 * 9] or [S, 3]
  Buffer patches;   // [3, S / 2, c / 2], a ring as above
  Rows neighbours;  // [S / 4, 9 c / 2] or [S, c / 2]
  // Of each stage: its blocks are of one shape.
  std::array<std::optional<BottleneckScratch>, TinyConfig::kStages> convolutions;
  std::array<std::optional<BlockScratch>, TinyConfig::kStages> blocks;
};

struct TinyWorkspace {
  // Cells that pass a matrix together: in the second-level cache with what becomes of them.
  static constexpr int64_t kRows = 128;

  TinyWorkspace(const TinyWeights& weights, int most_threads);

  int threads() const { return static_cast<int>(scratch.size()); }

  Buffer x, y;   // [P, c] of the stage with the most numbers: what a step reads and what it writes
  Buffer qkv;    // [3 heads, P, d rounded up to whole panels]
  Buffer mixed;  // [P, c]
  NeckWorkspace neck;
  std::vector<TinyScratch> scratch;
};

}  // namespace asam
