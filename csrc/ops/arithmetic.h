// Products, norms and sums of rows, for code that does not ask in which numbers a weight is packed.
#pragma once

#include <algorithm>
#include <cstdint>

#include "ops/integer_rows.h"
#include "ops/kernels.h"

namespace asam {

// What a weight matrix is packed for.
enum class Packing { float32, int16, int8 };

class Weight {
 public:
  Weight() = default;
  Weight(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side, Packing packing)
      : packing_(packing) {
    if (packing == Packing::float32) wide_ = PackedMatrix(in, side_by_side);
    if (packing == Packing::int16) words_ = PackedInt16Matrix(in, side_by_side);
    if (packing == Packing::int8) bytes_ = PackedInt8Matrix(in, side_by_side);
  }

  int64_t in() const { return std::max({wide_.in(), words_.in(), bytes_.in()}); }
  int64_t out() const { return std::max({wide_.out(), words_.out(), bytes_.out()}); }
  Packing packing() const { return packing_; }
  const PackedMatrix& wide() const { return wide_; }
  const PackedInt16Matrix& words() const { return words_; }
  const PackedInt8Matrix& bytes() const { return bytes_; }

 private:
  Packing packing_ = Packing::float32;
  PackedMatrix wide_;
  PackedInt16Matrix words_;
  PackedInt8Matrix bytes_;
};

// Of one thread, for the rows of one product.
struct IntegerRoom {
  Int16Rows words;
  Int8Rows bytes;
};

class Arithmetic {
 public:
  // room: where weights are in 8 or 16 bits.
  explicit Arithmetic(const Kernels& kernels, IntegerRoom* room = nullptr) : k_(kernels), room_(room) {}

  // c [rows, out], rows c_stride apart, = f(a W + bias + residual), a [rows, in], rows a_stride apart; see
  // ops/matmul.h
  void matmul(const float* a, int64_t a_stride, int64_t rows, const Weight& w, const Epilogue& epilogue,
              float* c, int64_t c_stride) const {
    if (w.packing() == Packing::float32) {
      k_.matmul(a, a_stride, rows, w.wide(), epilogue, c, c_stride);
    } else if (w.packing() == Packing::int16) {
      room_->words.put(k_.quantise_int16, 0, a, a_stride, rows, w.in());
      k_.matmul_int16(room_->words.from(0, w.in()), rows, w.words(), epilogue, c, c_stride);
    } else {
      room_->bytes.put(k_.quantise_int8, 0, a, a_stride, rows, w.in());
      k_.matmul_int8(room_->bytes.from(0, w.in()), rows, w.bytes(), epilogue, c, c_stride);
    }
  }

  // to[r] = x[r] + row[r mod row_count], or its ReLU; rows of n
  void add_rows(const float* x, int64_t rows, int64_t n, const float* row, int64_t row_count, bool relu,
                float* to) const {
    for (int64_t r = 0; r < rows; ++r) {
      const float* add = row + r % row_count * n;
      for (int64_t i = 0; i < n; ++i) {
        const float sum = x[r * n + i] + add[i];
        to[r * n + i] = relu ? std::max(sum, 0.0f) : sum;
      }
    }
  }

  void norm(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias, float eps,
            float* y) const {
    k_.layer_norm(x, rows, n, weight, bias, eps, y);
  }

  void gelu(float* x, int64_t count) const { k_.gelu(x, count); }

  void dot_rows(const float* x, int64_t rows, int64_t n, const float* h, float* y) const {
    k_.dot_rows(x, rows, n, h, y);
  }

 private:
  const Kernels& k_;
  IntegerRoom* room_;
};

}  // namespace asam
