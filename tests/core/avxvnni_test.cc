// The kernels of AVX-VNNI, in AVX-512's encoding of the same instructions, beside the readable ones:
// processors that have only that encoding run them too. Compiled from the same files under names of their
// own.
#include <cstdint>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "core/isa.h"
#include "harness.h"
#include "ops/integer_rows.h"
#include "ops/relative_attention.h"

namespace asam {

void matmul_int8_encoded(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                         float* c, int64_t c_stride);
void matmul_int16_encoded(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                          float* c, int64_t c_stride);
void relative_attend_int16_encoded(const RelativeAttentionShape& shape, const RelativePositions& positions,
                                   const float* q, const float* k, const float* v, float* out,
                                   float* scratch);

}  // namespace asam

namespace {

using harness::expect;
using Floats = std::vector<float>;

const std::vector<std::int64_t> kEdges{1, 5, 6, 7, 13, 64};

// Numbers between -1 and 1, the same in every run.
Floats numbers(std::int64_t size, std::uint32_t seed) {
  Floats out(static_cast<std::size_t>(size));
  for (float& x : out) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(seed >> 8) * 0x1p-23f - 1.0f;
  }
  return out;
}

// Rows and weights of their own type, multiplied by both: the same bits, since sums are exact and nothing is
// added.
template <class Rows, class Matrix, class Quantise, class Matmul>
void expect_the_same_products(Quantise quantise, Matmul reference, Matmul encoded) {
  for (const std::int64_t in : {1, 3, 31, 64, 257}) {
    for (const std::int64_t out : {1, 16, 17, 40, 96}) {
      const Floats w = numbers(in * out, 2), none(static_cast<std::size_t>(out));
      const Matrix packed(in, {{w.data(), out}});
      for (const std::int64_t rows : kEdges) {
        const Floats x = numbers(rows * in, 3);
        Rows held(rows, in);
        held.put(quantise, 0, x.data(), in, rows, in);
        Floats want(static_cast<std::size_t>(rows * out)), got(want);
        reference(held.from(0, in), rows, packed, {.bias = none.data()}, want.data(), out);
        encoded(held.from(0, in), rows, packed, {.bias = none.data()}, got.data(), out);
        expect(got == want, "the same products of " + std::to_string(rows) + " rows of " +
                                std::to_string(in) + " with " + std::to_string(out) + " columns");
      }
    }
  }
}

void matmul_int8() {
  expect_the_same_products<asam::Int8Rows, asam::PackedInt8Matrix>(
      asam::quantise_int8_ref, asam::matmul_int8_ref, asam::matmul_int8_encoded);
}

void matmul_int16() {
  expect_the_same_products<asam::Int16Rows, asam::PackedInt16Matrix>(
      asam::quantise_int16_ref, asam::matmul_int16_ref, asam::matmul_int16_encoded);
}

// Beside AVX2's, which rounds and adds alike.
void relative_attention() {
  constexpr std::int64_t kDim = 17, kWindow = 15;
  const Floats table_h = numbers((2 * kWindow - 1) * kDim, 12), table_w = numbers(table_h.size(), 13),
               key = numbers(kDim, 14), value = numbers(kDim, 15);
  const asam::RelativeAttendFn avx2 = asam::relative_attend_int16_for(asam::Isa::avx2);
  for (const std::int64_t high : {1, 5, 15}) {
    for (const std::int64_t wide : {2, 15}) {
      const std::int64_t cells = high * wide, first = cells / 3;
      const asam::RelativeAttentionShape shape{kDim,          kWindow, high, wide, first,
                                               cells - first, kDim,    kDim, kDim};
      const asam::RelativePositions positions{table_h.data(), table_w.data(), key.data(), value.data()};
      const Floats q = numbers(cells * kDim, 16), k = numbers(cells * kDim, 17),
                   v = numbers(cells * kDim, 18);
      Floats want(static_cast<std::size_t>(shape.queries * kDim)), got(want);
      Floats scratch(static_cast<std::size_t>(asam::relative_attention_scratch(shape)));
      avx2(shape, positions, q.data(), k.data(), v.data(), want.data(), scratch.data());
      asam::relative_attend_int16_encoded(shape, positions, q.data(), k.data(), v.data(), got.data(),
                                          scratch.data());
      expect(got == want,
             "the same attention in a window of " + std::to_string(high) + " x " + std::to_string(wide));
    }
  }
}

const std::map<std::string, void (*)()> kCases{
    {"avxvnni_matmul_int16", matmul_int16},
    {"avxvnni_matmul_int8", matmul_int8},
    {"avxvnni_relative_attention", relative_attention},
};

}  // namespace

int main(int argc, char** argv) {
  if (asam::supported_isas().back() != asam::Isa::avx512vnni) {
    std::puts("skipped: this processor has not AVX-512's encoding");
    return 0;
  }
  return harness::run(argc, argv, kCases);
}
