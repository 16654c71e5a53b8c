// A weight matrix [in, out] of integers as the kernels read it: panels of kPanel columns; in a panel kGroup
// inputs side by side, column by column, then the next ones. The last panel is as wide as the remaining
// columns, rounded up to kPanelStep. What is beyond the last input or column is zero.
#pragma once

#include <cstdint>
#include <initializer_list>

#include "ops/buffer.h"
#include "ops/matmul.h"

namespace asam {

template <class T, int64_t Group>
class PackedGroups {
 public:
  using Number = T;
  static constexpr int64_t kPanel = 32;
  static constexpr int64_t kPanelStep = 16;
  static constexpr int64_t kGroup = Group;

  PackedGroups() = default;
  PackedGroups(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side) : in_(in) {
    for (const PackedMatrix::Columns& part : side_by_side) out_ += part.out;
    data_ = BufferOf<T>(padded(in) * padded_columns());
  }

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }
  int64_t padded_columns() const { return (out_ + kPanelStep - 1) / kPanelStep * kPanelStep; }

  // in, rounded up to whole groups.
  [[gnu::always_inline]] static int64_t padded(int64_t in) { return (in + kGroup - 1) / kGroup * kGroup; }

  // Where element [i, j] of a matrix [in, out] lies.
  static int64_t place(int64_t i, int64_t j, int64_t in, int64_t out) {
    const int64_t start = j / kPanel * kPanel, width = out - start <= kPanelStep ? kPanelStep : kPanel;
    return start * padded(in) + (i / kGroup * width + (j - start)) * kGroup + i % kGroup;
  }
  T& at(int64_t i, int64_t j) { return data_.data()[place(i, j, in_, out_)]; }

  // As PackedMatrix::columns.
  PackedView<T> panels(int64_t first, int64_t count) const {
    const T* data = data_.data();
    return {in_, count, kPanel, data + first * padded(in_), data + data_.size()};
  }

 private:
  int64_t in_ = 0, out_ = 0;
  BufferOf<T> data_;
};

}  // namespace asam
