#include "ops/resize_masks.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <vector>

#include "core/errors.h"
#include "core/threads.h"
#include "ops/mask_pairs.h"
#include "ops/resize_block.h"
#include "ops/resize_taps.h"

namespace asam {
namespace {

constexpr int64_t kWordBits = 64;

// Tasks in an order in which neighbours are far apart: threads that take consecutive ones then have about as
// many tiles on an outline each.
class Scattered {
 public:
  explicit Scattered(int64_t count) : count_(count), step_(1) {
    if (count > kMost) return;
    step_ = count * 5 / 8;
    while (std::gcd(step_, count) != 1) ++step_;
  }
  int64_t operator[](int64_t i) const { return i * step_ % count_; }

 private:
  static constexpr int64_t kMost = int64_t{1} << 31;  // whose square fits
  int64_t count_, step_;
};

// The block's part of a mask, from `corner` on.
void fill_mask(const ResizeOperator& op, ResizeBlock& block, const float* map, float threshold,
               uint8_t* corner) {
  const int64_t width = op.geometry.out_w;
  const auto place = [&](const Area& tile) { return corner + (tile.row0 - block.area().row0) * width; };
  block.read(
      map, threshold,
      [&](const Area& tile, bool above) {
        uint8_t* out = place(tile);
        for (int64_t r = 0; r < tile.rows(); ++r, out += width) {
          std::memset(out, above, static_cast<size_t>(tile.cols()));
        }
      },
      [&](const Area& tile, const RowsDown& down) { op.kernel.mask(down, threshold, place(tile), width); });
}

}  // namespace

void ResizeGeometry::check() const {
  constexpr int64_t most = int64_t{1} << 20;
  require(low >= 4 && low <= kMostLow, "expected logits of side 4 to ", kMostLow, ", came ", low);
  require(side >= low && side <= most, "expected a model side from ", low, " to ", most, ", came ", side);
  require(input_h >= 1 && input_h <= side && input_w >= 1 && input_w <= side,
          "expected an input size from 1 to ", side, ", came ", input_h, " x ", input_w);
  require(out_h >= 1 && out_w >= 1 && out_h <= most && out_w <= most, "expected an output size from 1 to ",
          most, ", came ", out_h, " x ", out_w);
}

ResizeTaps compose_taps(int64_t low, int64_t side, int64_t input, int64_t out) {
  ResizeTaps taps;
  taps.first.resize(out);
  for (auto& w : taps.weight) w.assign(out, 0.0f);
  for (int64_t i = 0; i < out; ++i) {
    const ResizeTap tap = compose_tap(i, low, side, input, out);
    taps.first[i] = tap.first;
    for (int t = 0; t < 3; ++t) taps.weight[t][i] = tap.weight[t];
  }
  return taps;
}

void masks_from_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                       uint8_t* masks) {
  const ResizeOperator op(geometry);
  const int64_t width = geometry.out_w;
  const Scattered order(n * op.blocks());
  parallel_for(n * op.blocks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t s = order[i] / op.blocks();
      ResizeBlock block(op, op.block(order[i] % op.blocks()));
      const Area& area = block.area();
      fill_mask(op, block, logits + s * geometry.low * geometry.low, threshold,
                masks + (s * geometry.out_h + area.row0) * width + area.col0);
    }
  });
}

void packed_masks_from_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                              uint64_t* packed) {
  static_assert(kBlockRows % kWordBits == 0, "a row of blocks is then whole words, whatever its width");
  const ResizeOperator op(geometry);
  const MaskPairKernel& kernel = mask_pair_kernel();
  const int64_t width = geometry.out_w, across = op.blocks_x(), bands = op.blocks_y();
  const int64_t words = packed_words(geometry.out_h * width);
  const Scattered order(n * bands);
  parallel_for(n * bands, 1, [&](int64_t begin, int64_t end) {
    std::vector<uint8_t> bytes(static_cast<size_t>(std::min(kBlockRows, geometry.out_h) * width));
    for (int64_t i = begin; i < end; ++i) {
      const int64_t s = order[i] / bands, band = order[i] % bands, row0 = band * kBlockRows;
      for (int64_t x = 0; x < across; ++x) {
        ResizeBlock block(op, op.block(band * across + x));
        fill_mask(op, block, logits + s * geometry.low * geometry.low, threshold,
                  bytes.data() + block.area().col0);
      }
      const int64_t rows = std::min(kBlockRows, geometry.out_h - row0);
      kernel.pack(bytes.data(), rows * width, packed + s * words + row0 / kWordBits * width);
    }
  });
}

void mask_statistics(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                     int32_t* counts, int64_t* areas) {
  const ResizeOperator op(geometry);
  std::fill(areas, areas + n, int64_t{0});
  const Scattered order(op.blocks());
  // A task owns a block of counts for all n, so only the areas are shared between threads.
  parallel_for(op.blocks(), 1, [&](int64_t begin, int64_t end) {
    // The block's counts close together: rows of the image are pages apart.
    std::vector<int32_t> near(kBlockRows * kTileCols);
    for (int64_t i = begin; i < end; ++i) {
      ResizeBlock block(op, op.block(order[i]));
      const Area& area = block.area();
      const int64_t width = area.cols();
      std::fill(near.begin(), near.end(), 0);
      int32_t whole[kBlockRows / kTileRows] = {};  // masks that hold all of a tile
      for (int64_t s = 0; s < n; ++s) {
        int64_t inside = 0;
        block.read(
            logits + s * geometry.low * geometry.low, threshold,
            [&](const Area& tile, bool above) {
              whole[(tile.row0 - area.row0) / kTileRows] += above;
              inside += above ? tile.rows() * width : 0;
            },
            [&](const Area& tile, const RowsDown& down) {
              inside += op.kernel.count(down, threshold, &near[(tile.row0 - area.row0) * width], width);
            });
        // std::atomic_ref came to LLVM's library with version 19 only.
        if (inside != 0) __atomic_fetch_add(&areas[s], inside, __ATOMIC_RELAXED);
      }
      for (int64_t r = 0; r < area.rows(); ++r) {
        const int32_t* from = &near[r * width];
        int32_t* to = counts + (area.row0 + r) * geometry.out_w + area.col0;
        for (int64_t c = 0; c < width; ++c) to[c] = from[c] + whole[r / kTileRows];
      }
    }
  });
}

void resize_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float* resized) {
  const ResizeOperator op(geometry);
  parallel_for(n * op.blocks(), 1, [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / op.blocks();
      ResizeBlock block(op, op.block(task % op.blocks()));
      const Area& area = block.area();
      op.kernel.values(block.read_all(logits + s * geometry.low * geometry.low),
                       resized + (s * geometry.out_h + area.row0) * geometry.out_w + area.col0,
                       geometry.out_w);
    }
  });
}

}  // namespace asam
