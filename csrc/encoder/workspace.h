// Scratch of one running image, sized once.
#pragma once

#include <cstdint>
#include <vector>

#include "encoder/weights.h"
#include "encoder/windows.h"
#include "ops/buffer.h"

namespace asam {

// Of one thread of the team.
struct EncoderScratch {
  EncoderScratch(const EncoderConfig& config, const std::vector<std::vector<WindowPart>>& parts);

  Buffer patch;           // [3 * 16 * 16]
  Buffer q, k, v, mixed;  // one head's, of a window that is narrower than the grid
  Buffer attention;       // of the operation
};

struct EncoderWorkspace {
  // Of one part of a window, at most: what is made once of its keys and values is shared by so many.
  static constexpr int64_t kQueries = 1024;

  EncoderWorkspace(const EncoderWeights& weights, int most_threads);

  int threads() const { return static_cast<int>(scratch.size()); }

  std::vector<std::vector<WindowPart>> parts;  // of each block
  Buffer x;                                    // [P, D], the residual stream
  Buffer qkv;                                  // [3 H, P, d rounded up to whole panels]
  Rows patches;                                // [P, 3 * 16 * 16]
  Rows normed, mixed;                          // [P, D]
  Rows hidden;                                 // [P, M]
  NeckWorkspace neck;
  std::vector<EncoderScratch> scratch;
};

}  // namespace asam
