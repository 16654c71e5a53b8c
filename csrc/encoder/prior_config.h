// Sizes of one latent network: PGN, which sees the prompt, or IGN, which does not.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "core/errors.h"

namespace asam {

struct PriorConfig {
  int64_t grid = 0;             // e
  int64_t channels = 0;         // C, of the embedding
  int64_t latent = 0;           // L
  int64_t heads = 0;            // of the attention to the prompt tokens; 0: the network sees no prompt
  int64_t convs = 0;            // 3 x 3 convolutions a block
  std::vector<int64_t> widths;  // channels, one entry a block
  bool strided = true;  // blocks after the first halve by their first convolution, else by 2 x 2 means
  float log_sigma_low = 0, log_sigma_high = 0;  // clamp; infinities leave log sigma as it is

  bool sees_prompt() const { return heads > 0; }
  int64_t cells() const { return grid * grid; }
  int64_t inputs() const { return sees_prompt() ? 2 * channels : channels; }

  // Throws std::invalid_argument that names the entry at fault.
  void check() const {
    constexpr int64_t kLimit = 1 << 16, kMostGrid = 1 << 8, kMostBlocks = 8, kMostConvs = 64;
    const struct {
      const char* name;
      int64_t value, least, most;
    } entries[] = {{"grid", grid, 1, kMostGrid},
                   {"channels", channels, 1, kLimit},
                   {"latent", latent, 1, kLimit},
                   {"heads", heads, 0, kLimit},
                   {"convs", convs, 1, kMostConvs}};
    for (const auto& [name, value, least, most] : entries) {
      require(value >= least && value <= most, "config['", name, "']: expected ", least, " .. ", most,
              ", got ", value);
    }
    require(heads == 0 || channels % heads == 0, "config['heads']: expected a divisor of channels ", channels,
            ", got ", heads);
    require(!widths.empty() && widths.size() <= kMostBlocks, "config['widths']: expected 1 .. ", kMostBlocks,
            " blocks, got ", widths.size());
    for (int64_t width : widths) {
      require(width >= 1 && width <= kLimit, "config['widths']: expected 1 .. ", kLimit, ", got ", width);
    }
    require(log_sigma_low < log_sigma_high, "config['log_sigma_range']: expected low < high, got ",
            log_sigma_low, " and ", log_sigma_high);
  }
};

}  // namespace asam
