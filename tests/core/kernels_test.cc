// Every instruction set's float32 kernels beside the readable ones, where there is no Python: on a processor
// that is emulated. tests/ops holds them to float64. One case a run, named on the command line.
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
#include "ops/kernels.h"
#include "ops/mask_pairs.h"
#include "ops/resize_image.h"
#include "ops/resize_rows.h"

namespace {

using asam::Isa;
using asam::Kernels;
using harness::expect;
using harness::numbers;
using Floats = std::vector<float>;

const std::vector<std::int64_t> kEdges{1, 3, 4, 7, 8, 15, 16, 17, 31, 33};

Floats room(std::int64_t size) {
  return Floats(static_cast<std::size_t>(size));
}

// of(kernels): what they compute. The same within a tolerance on every instruction set as by the readable
// ones.
template <class Of>
void expect_near(const std::string& what, float tolerance, Of&& of) {
  const Floats want = of(Kernels::reference());
  for (const Isa isa : asam::supported_isas()) {
    const Floats got = of(Kernels::of(isa));
    for (std::size_t i = 0; i < want.size(); ++i) {
      expect(std::abs(got[i] - want[i]) <= tolerance, what + " on " + asam::isa_name(isa));
    }
  }
}

void matmul_on_every_isa() {
  const std::int64_t in = 29;
  for (const std::int64_t out : {1, 16, 17, 49, 64}) {
    const Floats w = numbers(in * out, 2), bias = numbers(out, 3);
    for (const std::int64_t panel : {asam::PackedMatrix::kPanelStep, asam::PackedMatrix::kPanel}) {
      const asam::PackedMatrix packed(in, {{w.data(), out}}, panel);
      for (const std::int64_t rows : kEdges) {
        const Floats a = numbers(rows * in, 4), residual = numbers(rows * out, 5);
        for (const bool gelu : {false, true}) {
          expect_near("matmul", 2e-5f, [&](const Kernels& kernels) {
            Floats c = room(rows * out);
            kernels.matmul(a.data(), in, rows, packed,
                           {.bias = bias.data(), .residual = residual.data(), .relu = !gelu, .gelu = gelu},
                           c.data(), out);
            return c;
          });
        }
      }
    }
  }
}

void rows_on_every_isa() {
  constexpr std::int64_t kRows = 5;
  for (const std::int64_t n : kEdges) {
    const Floats x = numbers(kRows * n, 6), weight = numbers(n, 7), bias = numbers(n, 8);
    expect_near("layer_norm", 2e-5f, [&](const Kernels& kernels) {
      Floats y = room(kRows * n);
      kernels.layer_norm(x.data(), kRows, n, weight.data(), bias.data(), 1e-2f, y.data());
      return y;
    });
    expect_near("gelu", 2e-6f, [&](const Kernels& kernels) {
      Floats y = x;
      kernels.gelu(y.data(), kRows * n);
      return y;
    });
    expect_near("dot_rows", 1e-5f, [&](const Kernels& kernels) {
      Floats y = room(kRows);
      kernels.dot_rows(x.data(), kRows, n, weight.data(), y.data());
      return y;
    });
  }
}

void attention_on_every_isa() {
  constexpr std::int64_t kHeads = 2, kDim = 17, kWidth = kHeads * kDim;
  for (const std::int64_t queries : kEdges) {
    for (const std::int64_t keys : kEdges) {
      const asam::AttentionShape shape{queries, keys, kHeads, kDim, kWidth, kWidth, kWidth, kWidth};
      constexpr std::int64_t kStep = asam::AttentionBias::kStep;
      const std::int64_t stride = (queries + kStep - 1) / kStep * kStep;
      const Floats q = numbers(queries * kWidth, 9), k = numbers(keys * kWidth, 10),
                   v = numbers(keys * kWidth, 11), raised = numbers(kHeads * keys * stride, 31);
      for (const float* bias : {static_cast<const float*>(nullptr), raised.data()}) {
        expect_near("attention", 5e-6f, [&](const Kernels& kernels) {
          Floats out = room(queries * kWidth), scratch = room(asam::attention_scratch(shape));
          kernels.attend(shape, q.data(), k.data(), v.data(), {bias, stride}, out.data(), scratch.data());
          return out;
        });
      }
      for (const std::int64_t part : {std::int64_t{1}, std::int64_t{5}, keys}) {
        expect_near("attention in parts", 5e-6f, [&](const Kernels& kernels) {
          Floats out = room(queries * kWidth), scratch = room(asam::attention_scratch(shape)),
                 sums = room(asam::attention_sums(shape));
          asam::AttentionShape some = shape;
          for (std::int64_t first = 0; first < keys; first += part) {
            some.keys = std::min(part, keys - first);
            kernels.attend_part(some, q.data(), k.data() + first * kWidth, v.data() + first * kWidth,
                                {.first = first == 0, .last = first + some.keys == keys}, sums.data(),
                                out.data(), scratch.data());
          }
          return out;
        });
      }
    }
  }
}

void depthwise_on_every_isa() {
  for (const std::int64_t channels : kEdges) {
    for (const std::int64_t wide : {1, 2, 7}) {
      for (const std::int64_t stride : {1, 2}) {
        const asam::DepthwiseShape shape{wide, channels, stride};
        const Floats x = numbers(3 * wide * channels, 32), weight = numbers(9 * channels, 33),
                     bias = numbers(channels, 34);
        for (int missing = -1; missing < 3; ++missing) {
          const float* rows[3];
          for (int t = 0; t < 3; ++t) rows[t] = t == missing ? nullptr : x.data() + t * wide * channels;
          expect_near("depthwise", 5e-6f, [&](const Kernels& kernels) {
            Floats y = room(shape.out_wide() * channels);
            kernels.depthwise(shape, rows, weight.data(), bias.data(), y.data());
            return y;
          });
        }
      }
    }
  }
}

void relative_attention_on_every_isa() {
  constexpr std::int64_t kDim = 17, kWindow = 15;
  const Floats table_h = numbers((2 * kWindow - 1) * kDim, 12), table_w = numbers(table_h.size(), 13),
               key = numbers(kDim, 14), value = numbers(kDim, 15);
  for (const std::int64_t high : {1, 5, 15}) {
    for (const std::int64_t wide : {2, 5, 15}) {
      const std::int64_t cells = high * wide, first = cells / 3;
      const asam::RelativeAttentionShape shape{kDim,          kWindow, high, wide, first,
                                               cells - first, kDim,    kDim, kDim};
      const Floats q = numbers(cells * kDim, 16), k = numbers(cells * kDim, 17),
                   v = numbers(cells * kDim, 18);
      expect_near("relative_attention", 5e-6f, [&](const Kernels& kernels) {
        Floats out = room(shape.queries * kDim), scratch = room(asam::relative_attention_scratch(shape));
        kernels.relative_attend(shape, {table_h.data(), table_w.data(), key.data(), value.data()}, q.data(),
                                k.data(), v.data(), out.data(), scratch.data());
        return out;
      });
      expect_near("relative_attention in 16 bits", 1e-3f, [&](const Kernels& kernels) {
        Floats out = room(shape.queries * kDim), scratch = room(asam::relative_attention_scratch(shape));
        kernels.relative_attend_int16(shape, {table_h.data(), table_w.data(), key.data(), value.data()},
                                      q.data(), k.data(), v.data(), out.data(), scratch.data());
        return out;
      });
    }
  }
}

void mask_pairs_of_every_kernel() {
  constexpr std::int64_t kMasks = 11;
  const asam::MaskPairKernel& reference = asam::mask_pair_kernel("reference");
  for (const std::int64_t pixels : {1, 63, 64, 65, 129, 4095, 4097, 9001}) {
    const std::int64_t words = asam::packed_words(pixels);
    std::vector<std::uint8_t> masks;
    for (const float x : numbers(kMasks * pixels, 19)) masks.push_back(x > -0.9f ? 2 : 0);
    const auto of = [&](const asam::MaskPairKernel& kernel) {
      std::vector<std::uint64_t> packed(static_cast<std::size_t>(kMasks * words));
      std::vector<std::int32_t> shared(kMasks * kMasks);
      asam::pack_masks(kernel, masks.data(), kMasks, pixels, packed.data());
      asam::pairwise_intersections(kernel, packed.data(), kMasks, packed.data(), kMasks, words,
                                   shared.data());
      return std::pair{packed, shared};
    };
    for (const asam::MaskPairKernel* kernel : asam::mask_pair_kernels()) {
      expect(of(*kernel) == of(reference), std::string("the same counts by ") + kernel->name);
    }
  }
}

void resize_rows_on_every_isa() {
  constexpr std::int64_t kRows = 7, kLow = 70;
  const Floats x = numbers(kLow * kLow, 20);
  for (const std::int64_t n : kEdges) {
    for (const std::int64_t step : {1, 3, 8}) {  // pixels for each number of x
      std::vector<std::int32_t> across, down;
      for (std::int64_t i = 0; i < n; ++i) across.push_back(static_cast<std::int32_t>(i / step));
      for (std::int64_t r = 0; r < kRows; ++r) down.push_back(static_cast<std::int32_t>(r / step));
      const Floats w = numbers(3 * n, 21), v = numbers(3 * kRows, 22);
      const float* const along[3] = {w.data(), w.data() + n, w.data() + 2 * n};
      const auto of = [&](const asam::ResizeRows& kernel) {
        Floats rows = room((kRows + 2) * n), values = room(kRows * n);
        // Ends where the last pixel's numbers end: nothing beyond may be read.
        const Floats short_x(x.begin(), x.begin() + across.back() + 3);
        for (std::int64_t r = 0; r < kRows + 2; ++r) {
          kernel.along(short_x.data(), across.data(), along, n, rows.data() + r * n);
          for (std::int64_t i = 0; i < n; ++i) rows[static_cast<std::size_t>(r * n + i)] += x[r * kLow + i];
        }
        const asam::RowsDown from{
            rows.data(), down.data(), {v.data(), v.data() + kRows, v.data() + 2 * kRows}, kRows, n};
        std::vector<std::uint8_t> mask(static_cast<std::size_t>(kRows * n));
        std::vector<std::int32_t> counts(mask.size(), 5);
        kernel.values(from, values.data(), n);
        kernel.mask(from, 0.1f, mask.data(), n);
        const std::int64_t inside = kernel.count(from, 0.1f, counts.data(), n);
        return std::tuple{values, mask, counts, inside};
      };
      const auto want = of(asam::kResizeRowsReference);
      expect(std::get<3>(want) > 0 || n < 4, "some pixels are above the threshold");
      for (const Isa isa : asam::supported_isas()) {
        expect(of(asam::resize_rows_for(isa)) == want,
               std::string("the same bits of resized rows on ") + asam::isa_name(isa));
      }
    }
  }
}

void filter_rows_on_every_isa() {
  std::uint32_t seed = 23;
  const auto byte = [&] {
    seed = seed * 1664525u + 1013904223u;
    return static_cast<std::uint8_t>(seed >> 24);
  };
  for (const std::int64_t in : {1, 2, 3, 9, 40, 133}) {
    std::vector<std::uint8_t> x(static_cast<std::size_t>(in * 3));
    for (std::uint8_t& one : x) one = byte();
    for (const std::int64_t out : kEdges) {
      const asam::BilinearTaps taps(in, out);
      const auto of = [&](const asam::FilterRows& kernel) {
        std::vector<std::uint8_t> along(static_cast<std::size_t>(out * 3)), down(along);
        kernel.along(x.data(), in, taps.taps(), along.data());
        const std::int64_t rows = std::min<std::int64_t>(in / out, 5);
        if (rows > 0) {
          kernel.down(x.data(), out * 3 / rows, taps.taps().weight, rows, down.data());
        }
        return std::pair{along, down};
      };
      const auto want = of(asam::kFilterRowsReference);
      for (const Isa isa : asam::supported_isas()) {
        expect(of(asam::filter_rows_for(isa)) == want,
               std::string("the same bits of filtered rows on ") + asam::isa_name(isa));
      }
    }
  }
}

const std::map<std::string, void (*)()> kCases{
    {"attention_on_every_isa", attention_on_every_isa},
    {"filter_rows_on_every_isa", filter_rows_on_every_isa},
    {"mask_pairs_of_every_kernel", mask_pairs_of_every_kernel},
    {"matmul_on_every_isa", matmul_on_every_isa},
    {"depthwise_on_every_isa", depthwise_on_every_isa},
    {"relative_attention_on_every_isa", relative_attention_on_every_isa},
    {"resize_rows_on_every_isa", resize_rows_on_every_isa},
    {"rows_on_every_isa", rows_on_every_isa},
};

}  // namespace

int main(int argc, char** argv) {
  return harness::run(argc, argv, kCases);
}
