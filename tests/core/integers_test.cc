// Every instruction set's products of integers beside the readable ones, where there is no Python: on a
// processor that is emulated. On x86-64 also AVX-VNNI's kernels in AVX-512's encoding of the same
// instructions, compiled from the same files under names of their own, since processors that have this one
// are less rare. One case a run, named on the command line.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "core/isa.h"
#include "harness.h"
#include "ops/integer_rows.h"
#include "ops/relative_attention.h"

namespace asam {

#if defined(__x86_64__)
void matmul_int8_encoded(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                         float* c, int64_t c_stride);
void matmul_int16_encoded(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                          float* c, int64_t c_stride);
void relative_attend_int16_encoded(const RelativeAttentionShape& shape, const RelativePositions& positions,
                                   const float* q, const float* k, const float* v, float* out,
                                   float* scratch);
#else
constexpr MatmulInt8Fn matmul_int8_encoded = nullptr;
constexpr MatmulInt16Fn matmul_int16_encoded = nullptr;
constexpr RelativeAttendFn relative_attend_int16_encoded = nullptr;
#endif

}  // namespace asam

namespace {

using asam::Isa;
using harness::expect;
using Floats = std::vector<float>;

const std::vector<std::int64_t> kInputs{1, 3, 4, 5, 8, 15, 16, 17, 33, 70},
    kOutputs{1, 8, 15, 16, 17, 49, 64};
const std::vector<std::int64_t> kHeights{1, 2, 4, 5, 6, 7, 13, 25};

Floats numbers(std::int64_t size, std::uint32_t seed) {
  return harness::numbers(size, seed, -0.7f);
}

// Those of every instruction set that runs here, and the encoded one where it does.
template <class Fn>
std::vector<std::pair<std::string, Fn>> versions(Fn (*of)(Isa), Fn encoded) {
  std::vector<std::pair<std::string, Fn>> found;
  for (const Isa isa : asam::supported_isas()) found.emplace_back(asam::isa_name(isa), of(isa));
  if (asam::supported_isas().back() == Isa::avx512vnni) found.emplace_back("avxvnni, encoded", encoded);
  return found;
}

bool same(const Floats& a, const Floats& b) {  // NaN is NaN
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](float x, float y) { return x == y || (std::isnan(x) && std::isnan(y)); });
}

void rows_in_8_bits() {
  constexpr std::int64_t kRows = 9;
  for (const std::int64_t n : kInputs) {
    Floats x = numbers(kRows * n, 1);
    std::fill_n(x.begin(), n, 0.0f);
    std::fill_n(x.begin() + n, n, 1e-35f);
    for (std::int64_t i = 0; i < n; ++i) x[static_cast<std::size_t>(2 * n + i)] *= 1e38f;
    x[static_cast<std::size_t>(3 * n + n / 2)] = NAN;
    x[static_cast<std::size_t>(4 * n - 1 + n)] = -INFINITY;
    for (std::int64_t i = 5 * n; i < 7 * n; ++i) {
      float& one = x[static_cast<std::size_t>(i)];
      one = i < 6 * n ? std::abs(one) : -std::abs(one);
    }
    const auto of = [&](asam::QuantiseInt8Fn quantise) {
      std::vector<std::uint8_t> y(static_cast<std::size_t>(kRows * (n + 3)),
                                  77);  // what is between rows stays
      Floats scale(kRows);
      std::vector<std::int32_t> zero(kRows);
      quantise(x.data(), n, kRows, n, y.data(), n + 3, scale.data(), zero.data());
      return std::tuple{y, scale, zero};
    };
    const auto [y, scale, zero] = of(asam::quantise_int8_ref);
    for (const Isa isa : asam::supported_isas()) {
      const auto [got_y, got_scale, got_zero] = of(asam::quantise_int8_for(isa));
      expect(got_y == y && same(got_scale, scale) && got_zero == zero,
             std::string("the same bits of rows in 8 bits on ") + asam::isa_name(isa));
    }
  }
}

// of(fn, epilogue): what a version computes. The same bits as of the readable one where only a scale is
// multiplied by, near it where the compiler may fuse that with what is added.
template <class Fn, class Of>
void expect_products(const char* what, std::int64_t rows, std::int64_t out, Fn reference,
                     const std::vector<std::pair<std::string, Fn>>& versions, Of&& of) {
  const Floats bias = numbers(out, 3), residual = numbers(rows * out, 4);
  const asam::Epilogue more{.bias = bias.data(), .residual = residual.data(), .gelu = true};
  const Floats plain = of(reference, asam::Epilogue{}), want = of(reference, more);
  for (const auto& [name, version] : versions) {
    const std::string where = std::string(what) + " on " + name;
    expect(of(version, asam::Epilogue{}) == plain, "the same bits of products in " + where);
    const Floats got = of(version, more);
    for (std::size_t i = 0; i < want.size(); ++i) {
      expect(std::abs(got[i] - want[i]) <= 1e-5f * std::max(1.0f, std::abs(want[i])), what + where);
    }
  }
}

void products_in_8_bits() {
  const auto found = versions(asam::matmul_int8_for, asam::matmul_int8_encoded);
  for (const std::int64_t in : kInputs) {
    for (const std::int64_t out : kOutputs) {
      const Floats weight = numbers(in * out, 5);
      const asam::PackedInt8Matrix w(in, {{weight.data(), out}});
      for (const std::int64_t rows : kHeights) {
        const Floats x = numbers(rows * in, 6);
        asam::Int8Rows a(rows, in);
        a.put(asam::quantise_int8_ref, 0, x.data(), in, rows, in);
        expect_products("8 bits", rows, out, asam::matmul_int8_ref, found,
                        [&](asam::MatmulInt8Fn matmul, const asam::Epilogue& epilogue) {
                          Floats c(static_cast<std::size_t>(rows * out));
                          matmul(a.from(0, in), rows, w, epilogue, c.data(), out);
                          return c;
                        });
      }
    }
  }
}

void products_in_16_bits() {
  const auto found = versions(asam::matmul_int16_for, asam::matmul_int16_encoded);
  for (const std::int64_t in : kInputs) {
    for (const std::int64_t out : kOutputs) {
      const Floats weight = numbers(in * out, 7);
      const asam::PackedInt16Matrix w(in, {{weight.data(), out}});
      for (const std::int64_t rows : kHeights) {
        const Floats x = numbers(rows * in, 8);
        asam::Int16Rows a(rows, in);
        a.put(asam::quantise_int16_ref, 0, x.data(), in, rows, in);
        expect_products("16 bits", rows, out, asam::matmul_int16_ref, found,
                        [&](asam::MatmulInt16Fn matmul, const asam::Epilogue& epilogue) {
                          Floats c(static_cast<std::size_t>(rows * out));
                          matmul(a.from(0, in), rows, w, epilogue, c.data(), out);
                          return c;
                        });
      }
    }
  }
}

// Rows of the largest numbers there are, against weights of one sign: the sums that are furthest from zero.
void largest_sums_in_8_bits() {
  constexpr std::int64_t kIn = 65536, kOut = 16;
  const Floats ones(kIn * kOut, 1.0f);
  const asam::PackedInt8Matrix w(kIn, {{ones.data(), kOut}});
  const std::vector<std::uint8_t> full(2 * kIn, 255);
  const Floats scale(2, 1.0f);
  const std::vector<std::int32_t> zero{0, 255};
  for (const auto& [name, version] : versions(asam::matmul_int8_for, asam::matmul_int8_encoded)) {
    Floats c(2 * kOut);
    version({full.data(), kIn, scale.data(), zero.data()}, 2, w, {}, c.data(), kOut);
    const std::string where = " on " + name;
    expect(std::abs(c[0] / (255.0f * kIn) - 1.0f) < 1e-6f, "the largest sum" + where);
    expect(c[kOut] == 0.0f, "and none" + where);
  }
}

// AVX2 and AVX-VNNI round and add alike.
void attention_in_16_bits() {
  constexpr std::int64_t kDim = 17, kWindow = 15;
  const Floats table_h = numbers((2 * kWindow - 1) * kDim, 12), table_w = numbers(table_h.size(), 13),
               key = numbers(kDim, 14), value = numbers(kDim, 15);
  const asam::RelativePositions positions{table_h.data(), table_w.data(), key.data(), value.data()};
  for (const std::int64_t high : {1, 5, 15}) {
    for (const std::int64_t wide : {2, 15}) {
      const std::int64_t cells = high * wide, first = cells / 3;
      const asam::RelativeAttentionShape shape{kDim,          kWindow, high, wide, first,
                                               cells - first, kDim,    kDim, kDim};
      const Floats q = numbers(cells * kDim, 16), k = numbers(cells * kDim, 17),
                   v = numbers(cells * kDim, 18);
      const auto of = [&](asam::RelativeAttendFn attend) {
        Floats out(static_cast<std::size_t>(shape.queries * kDim));
        Floats scratch(static_cast<std::size_t>(asam::relative_attention_scratch(shape)));
        attend(shape, positions, q.data(), k.data(), v.data(), out.data(), scratch.data());
        return out;
      };
      const Floats want = of(asam::relative_attend_int16_for(Isa::avx2));
      for (const auto& [name, version] :
           versions(asam::relative_attend_int16_for, asam::relative_attend_int16_encoded)) {
        if (name.starts_with("avxvnni")) expect(of(version) == want, "the same attention on " + name);
      }
    }
  }
}

const std::map<std::string, void (*)()> kCases{
    {"attention_in_16_bits", attention_in_16_bits},
    {"largest_sums_in_8_bits", largest_sums_in_8_bits},
    {"products_in_16_bits", products_in_16_bits},
    {"products_in_8_bits", products_in_8_bits},
    {"rows_in_8_bits", rows_in_8_bits},
};

}  // namespace

int main(int argc, char** argv) {
  return harness::run(argc, argv, kCases);
}
