// x W + b of the image encoder, shared by a team: each member takes panels of columns, so that each weight is
// read by one thread and stays in its cache while all rows pass.
#pragma once

#include <cstdint>

#include "core/precision.h"
#include "core/threads.h"
#include "ops/buffer.h"
#include "ops/kernels.h"

namespace asam {

// Rows that projections read, in the type that they multiply in.
class Rows {
 public:
  Rows() = default;
  Rows(int64_t count, int64_t width, Precision precision);

  float* wide() { return wide_.data(); }
  const float* wide() const { return wide_.data(); }
  Bf16* narrow() { return narrow_.data(); }
  const Bf16* narrow() const { return narrow_.data(); }

  // values [count] -> row `row`, from `column` on.
  void store(const Kernels& kernels, int64_t row, int64_t column, const float* values, int64_t count);

  // Whether a row that is stored must be completed before it is read.
  bool completes() const { return bytes_.size() > 0; }
  void complete(const Kernels& kernels, int64_t row);
  // From `row` on, where the precision is int8.
  QuantisedRows quantised(int64_t row) const {
    return {bytes_.data() + row * padded_, padded_, scale_.data() + row, zero_.data() + row};
  }

 private:
  int64_t width_ = 0, padded_ = 0;
  Buffer wide_;              // [count, width] where the precision is float32 or int8
  Bf16Buffer narrow_;        // [count, width] where it is bf16
  BufferOf<uint8_t> bytes_;  // [count, padded width] where it is int8
  Buffer scale_;             // [count]
  BufferOf<int32_t> zero_;   // [count]
};

class Projection {
 public:
  Projection() = default;
  // weight [in, out] row by row; bias [out] or null.
  Projection(int64_t in, int64_t out, const float* weight, const float* bias, Precision precision);
  // With columns in groups, each written to a matrix of its own: see run_grouped.
  Projection(int64_t in, int64_t groups, int64_t group, const float* weight, const float* bias,
             Precision precision);

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

 private:
  // Calls body(first row, rows, first column, columns) for this member's share, in units of `step` columns.
  template <typename Body>
  void share(const TeamMember& member, int64_t rows, int64_t step, Body&& body) const;

  // Columns first .. first + columns - 1 of some rows.
  void multiply(const Kernels& kernels, const Rows& x, int64_t row, int64_t rows, int64_t first,
                int64_t columns, Epilogue epilogue, float* wide, Bf16* narrow, int64_t stride) const;

  int64_t in_ = 0, out_ = 0;
  int64_t group_ = 0;  // columns of a group, padded; 0 where there are none
  Precision precision_ = Precision::float32;
  PackedMatrix wide_;
  PackedBf16Matrix narrow_;
  PackedInt8Matrix bytes_;
  Buffer bias_;  // [out]
};

}  // namespace asam
