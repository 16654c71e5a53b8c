// Sizes of one image encoder; names as in image_encoder.safetensors.
#pragma once

#include <cstdint>
#include <vector>

#include "core/errors.h"

namespace asam {

struct EncoderConfig {
  static constexpr int64_t kPatch = 16;  // pixels a side of one grid cell
  static constexpr int64_t kColours = 3;

  int64_t side = 0;              // S, pixels
  int64_t width = 0;             // D, channels inside
  int64_t heads = 0;             // H
  int64_t mlp_dim = 0;           // M
  int64_t channels = 0;          // C, of the embedding
  std::vector<int64_t> windows;  // cells a side, one entry a block; 0: the block attends over the whole grid

  int64_t grid() const { return side / kPatch; }  // e
  int64_t cells() const { return grid() * grid(); }
  int64_t head_dim() const { return width / heads; }
  int64_t patch_size() const { return kColours * kPatch * kPatch; }
  // Cells a side of the square that a block attends over.
  int64_t window(size_t block) const { return windows[block] == 0 ? grid() : windows[block]; }

  // Throws std::invalid_argument that names the entry at fault.
  void check() const {
    constexpr int64_t kLimit = 1 << 16, kMostSide = 1 << 12;  // above any model; products stay in range
    const struct {
      const char* name;
      int64_t value, most;
    } entries[] = {{"side", side, kMostSide},
                   {"width", width, kLimit},
                   {"heads", heads, kLimit},
                   {"mlp_dim", mlp_dim, kLimit},
                   {"channels", channels, kLimit}};
    for (const auto& [name, value, most] : entries) {
      require(value >= 1 && value <= most, "config['", name, "']: expected 1 .. ", most, ", got ", value);
    }
    require(side % kPatch == 0, "config['side']: expected a multiple of ", kPatch, ", got ", side);
    require(width % heads == 0, "config['heads']: expected a divisor of width ", width, ", got ", heads);
    require(windows.size() <= kLimit, "config['windows']: expected at most ", kLimit, " blocks, got ",
            windows.size());
    for (int64_t window : windows) {
      require(window >= 0 && window <= kMostSide, "config['windows']: expected 0 .. ", kMostSide, ", got ",
              window);
    }
  }
};

}  // namespace asam
