// x W + b of the image encoder, shared by a team: each member takes panels of columns, so that a panel stays
// in its cache while a block of rows passes. Where all rows are one block, each weight is read by one thread.
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/precision.h"
#include "core/threads.h"
#include "ops/buffer.h"
#include "ops/integer_rows.h"
#include "ops/kernels.h"

namespace asam {

// Rows that projections read, in the type that they multiply in.
class Rows {
 public:
  Rows() = default;
  Rows(int64_t count, int64_t width, Precision precision);

  float* wide() { return wide_.data(); }
  const float* wide() const { return wide_.data(); }

  // values [count] -> row `row`, from `column` on.
  void store(int64_t row, int64_t column, const float* values, int64_t count) {
    std::copy_n(values, count, wide() + row * width_ + column);
  }

  // Whether rows that are stored must be completed before they are read.
  bool completes() const { return precision_ != Precision::float32; }
  void complete(const Kernels& kernels, int64_t first, int64_t count);
  // x [count, width] as the first rows, complete.
  void take(const Kernels& kernels, const float* x, int64_t count);
  // From `row` on, where the precision is int16 or int8.
  Int16RowsView words(int64_t row) const { return words_.from(row, width_); }
  Int8RowsView bytes(int64_t row) const { return bytes_.from(row, width_); }

 private:
  int64_t width_ = 0;
  Precision precision_ = Precision::float32;
  Buffer wide_;      // [count, width]
  Int16Rows words_;  // where the precision is int16
  Int8Rows bytes_;   // where it is int8
};

class Projection {
 public:
  Projection() = default;
  // weight [in, out] row by row; bias [out] or null.
  Projection(int64_t in, int64_t out, const float* weight, const float* bias, Precision precision);
  // With columns in groups, each written to a matrix of its own: see run_grouped.
  Projection(int64_t in, int64_t groups, int64_t group, const float* weight, const float* bias,
             Precision precision);

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }

  // Columns of a group's matrix: as many as it has, rounded up to whole panels, those too many zero.
  static int64_t group_width(int64_t group);

  // to [rows, out] = x W + b, plus residual [rows, out] where there is one (may be `to`).
  void run(const TeamMember& member, const Kernels& kernels, const Rows& x, int64_t rows, float* to,
           const float* residual = nullptr) const;
  // to [groups, rows, group_width] = x W + b
  void run_grouped(const TeamMember& member, const Kernels& kernels, const Rows& x, int64_t rows,
                   float* to) const;
  // to [rows, out] = GELU(x W + b)
  void run_gelu(const TeamMember& member, const Kernels& kernels, const Rows& x, int64_t rows,
                Rows& to) const;

  // What one thread does alone, with rows of its own: to [rows, out] = f(x W + b), of rows `row` on of x. The
  // epilogue's bias is set here.
  void run_alone(const Kernels& kernels, const Rows& x, int64_t row, int64_t rows, const Epilogue& epilogue,
                 float* to) const;
  // The same into matrices of groups [.., group_width] that are `group_stride` apart.
  void run_grouped_alone(const Kernels& kernels, const Rows& x, int64_t row, int64_t rows, float* to,
                         int64_t group_stride) const;

 private:
  // Calls body(first row, rows, first column, columns) for this member's share, in units of `step` columns.
  template <typename Body>
  void share(const TeamMember& member, int64_t rows, int64_t step, Body&& body) const;

  // Columns first .. first + columns - 1 of some rows.
  void multiply(const Kernels& kernels, const Rows& x, int64_t row, int64_t rows, int64_t first,
                int64_t columns, Epilogue epilogue, float* to, int64_t stride) const;

  int64_t in_ = 0, out_ = 0;
  int64_t group_ = 0;  // columns of a group, padded; 0 where there are none
  Precision precision_ = Precision::float32;
  PackedMatrix wide_;
  PackedInt16Matrix words_;
  PackedInt8Matrix bytes_;
  Buffer bias_;  // [out]
};

}  // namespace asam
