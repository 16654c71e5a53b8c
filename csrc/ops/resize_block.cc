#include "ops/resize_block.h"

#include <cmath>

#include "core/isa.h"
#include "ops/resize_taps.h"

namespace asam {
namespace {

// Pixels for each logit that a block reads, from which on looking at these first takes less time.
constexpr int64_t kWorthLooking = 8;

// Of a row of logits: sides that all pixels lie on which are made of it, and of others that lie there too;
// and whether all of it is finite, also what has no weight, as 0 times infinity is NaN.
constexpr uint8_t kAbove = 1, kNotAbove = 2, kFinite = 4;

// A pixel is a mean of what it uses, but for rounding: five times along a row and five down the columns at
// most 2^-24, and that of the weights, together well below kRounding.
constexpr float kRounding = 4e-6f, kLeast = 1e-36f;

}  // namespace

ResizeAxis::ResizeAxis(int64_t low, int64_t side, int64_t input, int64_t out)
    : taps_(compose_taps(low, side, input, out)),
      begin_(static_cast<size_t>(out)),
      end_(static_cast<size_t>(out)) {
  const auto& weight = taps_.weight;
  for (size_t i = 0; i < begin_.size(); ++i) {
    begin_[i] = taps_.first[i] + (weight[0][i] != 0.0f ? 0 : weight[1][i] != 0.0f ? 1 : 2);
    end_[i] = taps_.first[i] + (weight[2][i] != 0.0f ? 3 : weight[1][i] != 0.0f ? 2 : 1);
    if (i > 0) end_[i] = std::max(end_[i], end_[i - 1]);
  }
  for (size_t i = begin_.size() - 1; i > 0; --i) begin_[i - 1] = std::min(begin_[i - 1], begin_[i]);
}

ResizeOperator::ResizeOperator(const ResizeGeometry& g)
    : geometry((g.check(), g)),
      kernel(resize_rows_for(active_isa())),
      y(g.low, g.side, g.input_h, g.out_h),
      x(g.low, g.side, g.input_w, g.out_w) {}

Area ResizeOperator::block(int64_t index) const {
  const int64_t row0 = index / blocks_x() * kBlockRows, col0 = index % blocks_x() * kTileCols;
  return {row0, std::min(row0 + kBlockRows, geometry.out_h), col0,
          std::min(col0 + kTileCols, geometry.out_w)};
}

ResizeBlock::ResizeBlock(const ResizeOperator& op, const Area& area)
    : op_(op),
      area_(area),
      rows_(op.y.read(area.row0, area.row1)),
      read_(op.x.read(area.col0, area.col1)),
      columns_(op.x.used(area.col0, area.col1)),
      looks_(area.rows() * area.cols() >= kWorthLooking * rows_.size() * columns_.size()),
      resized_(static_cast<size_t>(rows_.size() * area.cols())),
      sides_(static_cast<size_t>(rows_.size())) {}

void ResizeBlock::look(float threshold) {
  for (int64_t r = rows_.begin; r < rows_.end; ++r) {
    const float* from = map_ + r * op_.geometry.low;
    float low = from[columns_.begin], high = low, spoiled = 0.0f;
    for (int64_t c = columns_.begin; c < columns_.end; ++c) {
      low = from[c] < low ? from[c] : low;
      high = from[c] > high ? from[c] : high;
    }
    for (int64_t c = read_.begin; c < read_.end; ++c) spoiled += from[c] * 0.0f;
    const float slack = kRounding * std::max(std::abs(low), std::abs(high)) + kLeast;
    uint8_t& sides = sides_[static_cast<size_t>(r - rows_.begin)];
    sides = low - slack > threshold ? kAbove : high + slack <= threshold ? kNotAbove : 0;
    if (spoiled == 0.0f) sides |= kFinite;
  }
}

Side ResizeBlock::side_of(const Area& tile) const {
  const Span used = op_.y.used(tile.row0, tile.row1), read = op_.y.read(tile.row0, tile.row1);
  uint8_t sides = kAbove | kNotAbove, finite = kFinite;
  for (int64_t r = used.begin; r < used.end; ++r) sides &= sides_[static_cast<size_t>(r - rows_.begin)];
  for (int64_t r = read.begin; r < read.end; ++r) finite &= sides_[static_cast<size_t>(r - rows_.begin)];
  if (finite == 0) return Side::either;
  return sides == kAbove ? Side::above : sides == kNotAbove ? Side::not_above : Side::either;
}

RowsDown ResizeBlock::down(const Area& tile) {
  const int64_t width = area_.cols(), column = area_.col0, row = tile.row0;
  const ResizeAxis &x = op_.x, &y = op_.y;
  const float* const along[3] = {x.weight(0, column), x.weight(1, column), x.weight(2, column)};
  const Span read = y.read(row, tile.row1);
  for (int64_t r = std::max(resized_to_, read.begin); r < read.end; ++r) {
    op_.kernel.along(map_ + r * op_.geometry.low, x.first(column), along, width,
                     resized_.data() + (r - rows_.begin) * width);
  }
  resized_to_ = std::max(resized_to_, read.end);
  return {resized_.data() - rows_.begin * width,
          y.first(row),
          {y.weight(0, row), y.weight(1, row), y.weight(2, row)},
          tile.rows(),
          width};
}

}  // namespace asam
