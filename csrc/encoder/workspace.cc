#include "encoder/workspace.h"

#include <algorithm>

namespace asam {

EncoderScratch::EncoderScratch(const EncoderConfig& config, const std::vector<std::vector<WindowPart>>& parts)
    : patch(config.patch_size()) {
  const int64_t dim = config.head_dim(), stride = Projection::group_width(dim);
  int64_t keys = 0, room = 0;
  for (size_t block = 0; block < parts.size(); ++block) {
    for (const WindowPart& part : parts[block]) {
      if (part.wide < config.grid()) keys = std::max(keys, part.high * part.wide);
      room = std::max(room, relative_attention_scratch({.dim = dim,
                                                        .window = config.window(block),
                                                        .high = part.high,
                                                        .wide = part.wide,
                                                        .queries = part.queries}));
    }
  }
  q = Buffer(keys > 0 ? EncoderWorkspace::kQueries * stride : 0);
  k = Buffer(keys * stride);
  v = Buffer(keys * stride);
  mixed = Buffer(EncoderWorkspace::kQueries * dim);
  attention = Buffer(room);
}

EncoderWorkspace::EncoderWorkspace(const EncoderWeights& weights, int most_threads)
    : neck(weights.neck, kNeck, most_threads) {
  const EncoderConfig& config = weights.config;
  const int64_t cells = config.cells(), d = config.width;
  for (size_t block = 0; block < config.windows.size(); ++block) {
    parts.push_back(window_parts(config.grid(), config.window(block), kQueries));
  }
  x = Buffer(cells * d);
  qkv = Buffer(cells * 3 * config.heads * Projection::group_width(config.head_dim()));
  patches = Rows(cells, config.patch_size(), outside_blocks(weights.precision));
  normed = Rows(cells, d, weights.precision);
  mixed = Rows(cells, d, weights.precision);
  hidden = Rows(cells, config.mlp_dim, weights.precision);
  for (int i = 0; i < most_threads; ++i) scratch.emplace_back(config, parts);
}

}  // namespace asam
