// Sizes of a TinyViT image encoder (MobileSAM's, LiteMedSAM's); names as in image_encoder.safetensors.
#pragma once

#include <array>
#include <cstdint>

#include "core/errors.h"

namespace asam {

// Stage 0 has convolutions alone, the others transformer blocks. Between stages the grid is merged.
struct TinyConfig {
  static constexpr int64_t kColours = 3;
  static constexpr int64_t kStages = 4;
  static constexpr std::array<int64_t, kStages> kStrides{1, 2, 2, 1};  // of what leads to a stage
  static constexpr int64_t kExpansion = 4;                             // of channels inside a block

  struct Stage {
    int64_t width = 0;   // channels
    int64_t depth = 0;   // blocks
    int64_t heads = 0;   // of no meaning in stage 0, as is the window
    int64_t window = 0;  // cells a side

    int64_t head_dim() const { return width / heads; }
  };

  int64_t side = 0;      // S, pixels
  int64_t channels = 0;  // C, of the embedding
  int64_t cell = 16;     // pixels a side of one cell of the embedding: 16, or 4 (LiteMedSAM's)
  std::array<Stage, kStages> stages;

  int64_t grid() const { return side / cell; }     // e
  int64_t first_cell() const { return cell / 4; }  // pixels a side in stage 0: 4 or 1
  // Its patches are two convolutions, of 3 x 3 and stride 2, or where a cell is a pixel of 1 x 1.
  int64_t patch_stride() const { return first_cell() > 1 ? 2 : 1; }
  int64_t patch_taps() const { return first_cell() > 1 ? 9 : 1; }
  // Cells a side in a stage.
  int64_t grid(size_t stage) const {
    int64_t pixels = first_cell();
    for (size_t i = 0; i <= stage; ++i) pixels *= kStrides[i];
    return side / pixels;
  }

  // Throws std::invalid_argument that names the entry at fault.
  void check() const {
    constexpr int64_t kMostSide = 1 << 12, kMostGrid = 1 << 8, kMostWidth = 1 << 12, kMostDepth = 256,
                      kMostHeads = 256, kMostWindow = 64;
    const auto in_range = [](const char* name, int64_t value, int64_t most) {
      require(value >= 1 && value <= most, "config['", name, "']: expected 1 .. ", most, ", got ", value);
    };
    in_range("side", side, kMostSide);
    in_range("channels", channels, kMostWidth);
    require(cell == 16 || cell == 4, "config['cell']: expected 16 or 4, got ", cell);
    require(side % 16 == 0 && grid() <= kMostGrid, "config['side']: expected a multiple of 16 and at most ",
            kMostGrid * cell, " with cells of ", cell, " pixels, got ", side);
    for (const Stage& stage : stages) {
      in_range("widths", stage.width, kMostWidth);
      in_range("depths", stage.depth, kMostDepth);
      in_range("heads", stage.heads, kMostHeads);
      in_range("windows", stage.window, kMostWindow);
      require(stage.width % stage.heads == 0, "config['heads']: expected a divisor of width ", stage.width,
              ", got ", stage.heads);
    }
    // What raises scores takes a number for each pair of cells of a window.
    constexpr int64_t kMostPairs = 1 << 24;
    int64_t pairs = 0;
    for (size_t i = 1; i < stages.size(); ++i) {
      const int64_t cells = stages[i].window * stages[i].window;
      pairs += stages[i].depth * stages[i].heads * cells * cells;
    }
    require(pairs <= kMostPairs, "config['windows']: expected at most ", kMostPairs,
            " pairs of cells in windows of all heads and blocks, got ", pairs);
    require(stages[0].width % 2 == 0, "config['widths']: expected an even first one, got ", stages[0].width);
  }
};

}  // namespace asam
