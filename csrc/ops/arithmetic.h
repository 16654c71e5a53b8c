// The operations by the type that products take their numbers in, for code written once for both:
// Arithmetic<float>, and Arithmetic<Bf16> with float32 sums, norms and softmax.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "ops/kernels.h"

namespace asam {

// What a weight matrix is packed for.
enum class Packing { float32, bf16, both };

class Weight {
 public:
  Weight() = default;
  Weight(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side, Packing packing) {
    if (packing != Packing::float32) narrow_ = PackedBf16Matrix(in, side_by_side);
    if (packing != Packing::bf16) wide_ = PackedMatrix(in, side_by_side);
  }

  int64_t in() const { return std::max(wide_.in(), narrow_.in()); }
  int64_t out() const { return std::max(wide_.out(), narrow_.out()); }
  const PackedMatrix& packed(float) const { return wide_; }
  const PackedBf16Matrix& packed(Bf16) const { return narrow_; }

 private:
  PackedMatrix wide_;
  PackedBf16Matrix narrow_;
};

// Numbers as float32 and as products take them; one and the same memory where that is float32.
template <class Act>
class Dual {
 public:
  Dual() = default;
  explicit Dual(int64_t size) : wide_(size), narrow_(kSame ? 0 : size) {}

  float* wide() { return wide_.data(); }
  Act* act() {
    if constexpr (kSame) {
      return wide_.data();
    } else {
      return narrow_.data();
    }
  }

 private:
  static constexpr bool kSame = std::is_same_v<Act, float>;
  Buffer wide_;
  BufferOf<Act> narrow_;
};

// Where a product goes: as float32, as Act, or as both halves of a Dual. A residual has wide_stride.
template <class Act>
struct Result {
  float* wide = nullptr;
  int64_t wide_stride = 0;
  Act* act = nullptr;
  int64_t act_stride = 0;
};

// Where a norm [rows, n] goes: both halves of a Dual, or the second alone, and with a row added.
template <class Act>
struct NormResult {
  float* wide = nullptr;
  Act* act = nullptr;
  const float* plus = nullptr;  // [plus_rows, n]
  int64_t plus_rows = 1;
  Act* act_plus = nullptr;
  bool gelu = false;
};

template <class Act>
class Arithmetic;

template <>
class Arithmetic<float> {
 public:
  explicit Arithmetic(const Kernels& kernels) : k_(kernels) {}

  void matmul(const float* a, int64_t a_stride, int64_t rows, const Weight& w, const Epilogue& epilogue,
              const Result<float>& c) const {
    k_.matmul(a, a_stride, rows, w.packed(0.0f), epilogue, c.wide ? c.wide : c.act,
              c.wide ? c.wide_stride : c.act_stride);
  }

  // to[r] = f(x[r] + row[r mod row_count])
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
            const NormResult<float>& y) const {
    float* to = y.wide ? y.wide : y.act;
    k_.layer_norm(x, rows, n, weight, bias, eps, to);
    if (y.gelu) k_.gelu(to, rows * n);
    if (y.act_plus) add_rows(to, rows, n, y.plus, y.plus_rows, false, y.act_plus);
  }

  void dot_rows(const float* x, int64_t rows, int64_t n, const float* h, float* y) const {
    k_.dot_rows(x, rows, n, h, y);
  }

 private:
  const Kernels& k_;
};

template <>
class Arithmetic<Bf16> {
 public:
  explicit Arithmetic(const Kernels& kernels) : k_(kernels) {}

  void matmul(const Bf16* a, int64_t a_stride, int64_t rows, const Weight& w, const Epilogue& epilogue,
              const Result<Bf16>& c) const {
    k_.matmul_bf16(
        a, a_stride, rows, w.packed(Bf16{}), epilogue,
        {.wide = c.wide, .wide_stride = c.wide_stride, .narrow = c.act, .narrow_stride = c.act_stride});
  }

  void add_rows(const float* x, int64_t rows, int64_t n, const float* row, int64_t row_count, bool relu,
                Bf16* to) const {
    k_.add_rows_bf16(x, rows, n, row, row_count, relu, to);
  }

  void norm(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias, float eps,
            const NormResult<Bf16>& y) const {
    k_.layer_norm_bf16(x, rows, n, weight, bias, eps,
                       {.wide = y.wide,
                        .narrow = y.act,
                        .plus = y.plus,
                        .plus_rows = y.plus_rows,
                        .narrow_plus = y.act_plus,
                        .gelu = y.gelu});
  }

  void dot_rows(const float* x, int64_t rows, int64_t n, const float* h, float* y) const {
    k_.dot_rows(x, rows, n, h, y);
  }

 private:
  const Kernels& k_;
};

}  // namespace asam
