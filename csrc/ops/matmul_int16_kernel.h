// Products in 16 bits for the kernel of ops/matmul_kernel.h. Rules of ops/simd.h apply.
#pragma once

#include "ops/matmul_int16.h"
#include "ops/matmul_kernel.h"

namespace asam::simd {

// Instruction::add(sum, x, w): Lanes sums of 32 bits, each plus the products of a pair.
template <int Lanes, class Instruction>
struct Words {
  using Number = int16_t;
  using Weight = int16_t;
  using Vector = Int<Lanes>;
  static constexpr int kLanes = Lanes;

  const Int16RowsView& a;
  const Int16View& w;

  ASAM_INLINE static Vector add(Vector sum, Vector x, Vector w) { return Instruction::add(sum, x, w); }
  ASAM_INLINE Float<Lanes> value(Vector sum, int64_t row, int64_t column) const {
    const auto x = __builtin_convertvector(sum, Float<Lanes>);
    return x * (splat<Lanes>(a.scale[row]) * load<Lanes>(w.scale + column));
  }
};

template <int Lanes, int Rows, int Vecs, class Instruction>
ASAM_INLINE void matmul_words(const Int16RowsView& a, int64_t rows, const Int16View& w,
                              const Epilogue& epilogue, float* c, int64_t c_stride) {
  using Numbers = Words<Lanes, Instruction>;
  const Product<Numbers> product{a.values, a.stride, w.panels, {a, w}, epilogue, c, c_stride};
  matmul_kernel<Rows, Vecs>(product, rows);
}

}  // namespace asam::simd
