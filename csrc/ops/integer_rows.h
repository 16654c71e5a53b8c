// Room for rows in 8 or in 16 bits, as products take them. Widths may be less than what there is room for.
#pragma once

#include <cstdint>

#include "ops/buffer.h"
#include "ops/matmul_int16.h"
#include "ops/matmul_int8.h"

namespace asam {

class Int8Rows {
 public:
  Int8Rows() = default;
  Int8Rows(int64_t count, int64_t width)
      : values_(count * PackedInt8Matrix::padded(width)), scale_(count), zero_(count) {}

  // x [rows, width], rows x_stride apart, from row `first` on
  void put(QuantiseInt8Fn quantise, int64_t first, const float* x, int64_t x_stride, int64_t rows,
           int64_t width) {
    const int64_t stride = PackedInt8Matrix::padded(width);
    quantise(x, x_stride, rows, width, values_.data() + first * stride, stride, scale_.data() + first,
             zero_.data() + first);
  }

  // From `row` on.
  Int8RowsView from(int64_t row, int64_t width) const {
    const int64_t stride = PackedInt8Matrix::padded(width);
    return {values_.data() + row * stride, stride, scale_.data() + row, zero_.data() + row};
  }

 private:
  BufferOf<uint8_t> values_;
  Buffer scale_;
  BufferOf<int32_t> zero_;
};

class Int16Rows {
 public:
  Int16Rows() = default;
  Int16Rows(int64_t count, int64_t width)
      : values_(count * PackedInt16Matrix::padded(width)), scale_(count) {}

  // As of Int8Rows.
  void put(QuantiseInt16Fn quantise, int64_t first, const float* x, int64_t x_stride, int64_t rows,
           int64_t width) {
    const int64_t stride = PackedInt16Matrix::padded(width);
    quantise(x, x_stride, rows, width, values_.data() + first * stride, stride, scale_.data() + first);
  }

  Int16RowsView from(int64_t row, int64_t width) const {
    const int64_t stride = PackedInt16Matrix::padded(width);
    return {values_.data() + row * stride, stride, scale_.data() + row};
  }

 private:
  BufferOf<int16_t> values_;
  Buffer scale_;
};

}  // namespace asam
