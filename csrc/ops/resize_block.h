// The operator of ops/resize_masks.h over pieces of an image.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "ops/resize_masks.h"
#include "ops/resize_rows.h"

namespace asam {

// A block is a thread's piece of an image: its rows of scratch, and its counts, stay in the second-level
// cache. A tile is a piece of a block that may lie on one side of the threshold as a whole.
inline constexpr int64_t kBlockRows = 256;
inline constexpr int64_t kTileRows = 16;
inline constexpr int64_t kTileCols = 64;

struct Area {
  int64_t row0, row1, col0, col1;

  int64_t rows() const { return row1 - row0; }
  int64_t cols() const { return col1 - col0; }
};

// Where all pixels of a tile lie, as far as that is known without making them.
enum class Side { above, not_above, either };

struct Span {
  int64_t begin, end;

  int64_t size() const { return end - begin; }
};

// One axis of the operator.
class ResizeAxis {
 public:
  ResizeAxis(int64_t low, int64_t side, int64_t input, int64_t out);

  const int32_t* first(int64_t i) const { return taps_.first.data() + i; }
  const float* weight(int tap, int64_t i) const { return taps_.weight[tap].data() + i; }

  // What pixels `from` .. `to` - 1 are computed from.
  Span read(int64_t from, int64_t to) const { return {*first(from), *first(to - 1) + 3}; }
  // The part of it whose weights are not all zero.
  Span used(int64_t from, int64_t to) const {
    return {begin_[static_cast<size_t>(from)], end_[static_cast<size_t>(to - 1)]};
  }

 private:
  ResizeTaps taps_;
  std::vector<int32_t> begin_, end_;  // of what a pixel and those after, or before, it use
};

class ResizeOperator {
 public:
  // Throws as ResizeGeometry::check.
  explicit ResizeOperator(const ResizeGeometry& geometry);

  int64_t blocks_x() const { return (geometry.out_w + kTileCols - 1) / kTileCols; }
  int64_t blocks_y() const { return (geometry.out_h + kBlockRows - 1) / kBlockRows; }
  int64_t blocks() const { return blocks_y() * blocks_x(); }
  Area block(int64_t index) const;

  const ResizeGeometry geometry;
  const ResizeRows& kernel;
  const ResizeAxis y, x;
};

// One block of one map after the other.
class ResizeBlock {
 public:
  ResizeBlock(const ResizeOperator& op, const Area& area);

  const Area& area() const { return area_; }

  // Calls whole(tile, above) for each tile of the block that lies on one side of the threshold, and
  // other(tile, down) for the others: what their pixels are made of.
  template <class Whole, class Other>
  void read(const float* map, float threshold, const Whole& whole, const Other& other) {
    start(map);
    if (looks_) look(threshold);
    for (int64_t first = area_.row0; first < area_.row1; first += kTileRows) {
      const Area tile{first, std::min(first + kTileRows, area_.row1), area_.col0, area_.col1};
      const Side side = looks_ ? side_of(tile) : Side::either;
      if (side == Side::either) {
        other(tile, down(tile));
      } else {
        whole(tile, side == Side::above);
      }
    }
  }

  // What the pixels of a whole block are made of.
  RowsDown read_all(const float* map) {
    start(map);
    return down(area_);
  }

 private:
  void start(const float* map) {
    map_ = map;
    resized_to_ = rows_.begin;
  }
  void look(float threshold);
  Side side_of(const Area& tile) const;
  RowsDown down(const Area& tile);

  const ResizeOperator& op_;
  const Area area_;
  const Span rows_, read_;  // rows and columns of logits that it is computed from
  const Span columns_;      // of these, columns whose weights are not all zero
  const bool looks_;
  std::vector<float> resized_;  // rows of them, as wide as the block
  std::vector<uint8_t> sides_;  // of each of these rows: see resize_block.cc
  const float* map_ = nullptr;
  int64_t resized_to_ = 0;  // those that are needed before this one are resized
};

}  // namespace asam
