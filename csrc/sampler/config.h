// Sizes of one folded sampler; names as in the manifest of an engine.
#pragma once

#include <cstdint>

#include "core/errors.h"

namespace asam {

struct SamplerConfig {
  int64_t side = 0;             // S, pixels
  int64_t grid = 0;             // e = S / 16, or S / 4
  int64_t channels = 0;         // C
  int64_t latent = 0;           // L
  int64_t mask_tokens = 0;      // K
  int64_t heads = 0;            // H
  int64_t depth = 0;            // two-way transformer blocks
  int64_t mlp_dim = 0;          // M
  int64_t iou_layers = 0;       // linear layers of the quality head
  int64_t combiner_layers = 0;  // 1x1 convolutions of each combiner; 0: there is none, src = F + D
  bool sampled_tokens = false;  // the prompt latent is mixed into the prompt tokens too
  bool separate_masks = false;  // a pass gives K masks, one a mask token, in place of their weighted sum

  int64_t cells() const { return grid * grid; }  // P
  bool combines() const { return combiner_layers > 0; }
  int64_t masks() const { return separate_masks ? mask_tokens : 1; }  // of a pass
  int64_t output_tokens() const { return mask_tokens + 2; }           // quality, SAM's single mask, K masks
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
                   {"iou_layers", iou_layers}};
    for (const auto& [name, value] : entries) {
      require(value >= 1 && value <= kLimit, "config['", name, "']: expected 1 .. ", kLimit, ", got ", value);
    }
    require(side == 16 * grid || side == 4 * grid, "config: expected side = 16 * grid or 4 * grid, got side ",
            side, " and grid ", grid);
    require(channels % 8 == 0 && channels % (2 * heads) == 0,
            "config['channels']: expected a multiple of 8 and of 2 * heads, got ", channels, " with ", heads,
            " heads");
    require(combiner_layers == 0 || (combiner_layers >= 2 && combiner_layers <= kLimit),
            "config['combiner_layers']: expected 0 (none), or 2 .. ", kLimit, ", got ", combiner_layers);
    require(combines() || !sampled_tokens,
            "config['sampled_tokens']: expected false without combiners, got true");
  }
};

}  // namespace asam
