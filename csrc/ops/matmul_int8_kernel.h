// Products in 8 bits for the kernel of ops/matmul_kernel.h. Rules of ops/simd.h apply.
#pragma once

#include "ops/matmul_int8.h"
#include "ops/matmul_kernel.h"

namespace asam::simd {

// Instruction::add(sum, x, w): Lanes sums of 32 bits, each plus the products of four; kShift: what it takes
// off each number of x.
template <int Lanes, class Instruction>
struct Bytes {
  using Number = uint8_t;
  using Weight = int8_t;
  using Vector = Int<Lanes>;
  static constexpr int kLanes = Lanes;

  const Int8RowsView& a;
  const Int8View& w;

  ASAM_INLINE static Vector add(Vector sum, Vector x, Vector w) { return Instruction::add(sum, x, w); }
  ASAM_INLINE Float<Lanes> value(Vector sum, int64_t row, int64_t column) const {
    const auto shift = (a.zero[row] - Instruction::kShift) * load_vector<Vector>(w.sums + column);
    const auto x = __builtin_convertvector(sum - shift, Float<Lanes>);
    return x * (splat<Lanes>(a.scale[row]) * load<Lanes>(w.scale + column));
  }
};

template <int Lanes, int Rows, int Vecs, class Instruction>
ASAM_INLINE void matmul_bytes(const Int8RowsView& a, int64_t rows, const Int8View& w,
                              const Epilogue& epilogue, float* c, int64_t c_stride) {
  using Numbers = Bytes<Lanes, Instruction>;
  const Product<Numbers> product{a.values, a.stride, w.panels, {a, w}, epilogue, c, c_stride};
  matmul_kernel<Rows, Vecs>(product, rows);
}

}  // namespace asam::simd
