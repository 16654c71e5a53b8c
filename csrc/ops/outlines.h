// Outlines of groups of masks, found in their bits (packed as in ops/mask_pairs.h): for pictures at video
// rate.
//
//   edge[g, y, x]   whether a mask of group g changes from pixel (y, x) to the one right of it, or below it
//   layer[g, y, x] = table[ sum_{i, j = -1..1} b[i] b[j] edge[g, y + i, x + j] ],   b = (1, 2, 1)
//
// with no edges beyond the region that is drawn.
#pragma once

#include <cstdint>

namespace asam {

struct OutlineShape {
  int64_t n = 0, h = 0, w = 0;  // masks
  int64_t groups = 0;
  int64_t y0 = 0, y1 = 0, x0 = 0, x1 = 0;  // region

  // Throws std::invalid_argument that names what is at fault.
  void check() const;
};

inline constexpr int64_t kEdgeLevels = 17;

// inputs
//   packed  [n, words]
//   group   [n], -1 for a mask that is not drawn
//   table   [kEdgeLevels]
// outputs
//   layers  [groups, y1 - y0, x1 - x0]
// std::invalid_argument for a group that is not -1 .. groups - 1.
void outline_layers(const OutlineShape& shape, const uint64_t* packed, const int64_t* group,
                    const uint8_t* table, uint8_t* layers);

}  // namespace asam
