// Sizes of one folded sampler; names as in the manifest of an engine.
#pragma once

#include <cstdint>

#include "core/errors.h"

namespace asam {

struct SamplerConfig {
  int64_t side = 0;             // S, pixels
  int64_t grid = 0;             // e = S / 16
  int64_t channels = 0;         // C
  int64_t latent = 0;           // L
  int64_t mask_tokens = 0;      // K
  int64_t heads = 0;            // H
  int64_t depth = 0;            // two-way transformer blocks
  int64_t mlp_dim = 0;          // M
  int64_t iou_layers = 0;       // linear layers of the quality head
  int64_t combiner_layers = 0;  // 1x1 convolutions of each combiner
  bool sampled_tokens = false;  // the prompt latent is mixed into the prompt tokens too

  int64_t cells() const { return grid * grid; }              // P
  int64_t output_tokens() const { return mask_tokens + 2; }  // quality, SAM's single mask, K masks
  int64_t logits_side() const { return 4 * grid; }
  int64_t logits_size() const { return logits_side() * logits_side(); }

  // Throws std::invalid_argument that names the entry at fault.
  void check() const {
    constexpr int64_t kLimit = 1 << 16;  // far above any model, and products of two stay in range
    const struct {
      const char* name;
      int64_t value;
    } entries[] = {{"side", side},
                   {"grid", grid},
                   {"channels", channels},
                   {"latent", latent},
                   {"mask_tokens", mask_tokens},
                   {"heads", heads},
                   {"depth", depth},
                   {"mlp_dim", mlp_dim},
                   {"iou_layers", iou_layers},
                   {"combiner_layers", combiner_layers}};
    for (const auto& [name, value] : entries) {
      require(value >= 1 && value <= kLimit, "config['", name, "']: expected 1 .. ", kLimit, ", got ", value);
    }
    require(side == 16 * grid, "config: expected side = 16 * grid, got side ", side, " and grid ", grid);
    require(channels % 8 == 0 && channels % (2 * heads) == 0,
            "config['channels']: expected a multiple of 8 and of 2 * heads, got ", channels, " with ", heads,
            " heads");
    require(combiner_layers >= 2, "config['combiner_layers']: expected at least 2, got ", combiner_layers);
  }
};

}  // namespace asam
