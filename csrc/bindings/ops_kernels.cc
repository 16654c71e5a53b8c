// The float32 operations one by one, for tests and measurements.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "bindings/array.h"
#include "bindings/attention_shape.h"
#include "bindings/epilogue.h"
#include "bindings/ops.h"
#include "bindings/versions.h"

namespace nb = nanobind;

namespace asam {
namespace {

auto matmul(Input<2> a, Input<2> weight, std::optional<Input<2>> bias, std::optional<Input<2>> residual,
            bool relu, bool gelu, const std::string& version, int64_t panel) {
  const Kernels kernels = kernels_of(version);
  require(panel == PackedMatrix::kPanel || panel == PackedMatrix::kPanelStep,
          "panel: expected 16 or 32, got ", panel);
  const auto x = tensor_of<2>(a), w = tensor_of<2>(weight);
  const int64_t rows = x.extent(0), in = x.extent(1), out = w.extent(1);
  w.expect_shape("weight", {in, -1});
  const PackedMatrix packed(in, {{w.data(), out}}, panel);
  const Epilogue epilogue = epilogue_of(bias, residual, rows, out, relu, gelu);
  auto c = new_array<float, 2>({rows, out});
  kernels.matmul(x.data(), in, rows, packed, epilogue, c.data(), out);
  return c;
}

auto layer_norm(Input<2> x, Input<1> weight, Input<1> bias, float eps, const std::string& version) {
  const int64_t rows = tensor_of<2>(x).extent(0), n = tensor_of<2>(x).extent(1);
  tensor_of<1>(weight).expect_shape("weight", {n});
  tensor_of<1>(bias).expect_shape("bias", {n});
  require(n > 0, "x: expected rows of at least one element, got none");
  auto y = new_array<float, 2>({rows, n});
  kernels_of(version).layer_norm(x.data(), rows, n, weight.data(), bias.data(), eps, y.data());
  return y;
}

auto gelu(Input<1> x, const std::string& version) {
  const int64_t n = tensor_of<1>(x).extent(0);
  auto y = new_array<float, 1>({n});
  std::copy_n(x.data(), n, y.data());
  kernels_of(version).gelu(y.data(), n);
  return y;
}

auto dot_rows(Input<2> x, Input<1> h, const std::string& version) {
  const int64_t rows = tensor_of<2>(x).extent(0), n = tensor_of<2>(x).extent(1);
  tensor_of<1>(h).expect_shape("h", {n});
  auto y = new_array<float, 1>({rows});
  kernels_of(version).dot_rows(x.data(), rows, n, h.data(), y.data());
  return y;
}

auto depthwise(Input<3> x, Input<2> weight, Input<1> bias, int64_t stride, const std::string& version) {
  const Kernels kernels = kernels_of(version);
  const auto grid = tensor_of<3>(x);
  const int64_t high = grid.extent(0), wide = grid.extent(1), channels = grid.extent(2);
  require(high >= 1 && wide >= 1, "x: expected at least one cell, got a grid of ", high, " x ", wide);
  require(stride == 1 || stride == 2, "stride: expected 1 or 2, got ", stride);
  tensor_of<2>(weight).expect_shape("weight", {9, channels});
  tensor_of<1>(bias).expect_shape("bias", {channels});
  const DepthwiseShape shape{.wide = wide, .channels = channels, .stride = stride};
  const int64_t out_high = (high - 1) / stride + 1;
  auto y = new_array<float, 3>({out_high, shape.out_wide(), channels});
  const auto row_at = [&](int64_t i) {
    return i >= 0 && i < high ? x.data() + i * wide * channels : nullptr;
  };
  for (int64_t i = 0; i < out_high; ++i) {
    const int64_t at = i * stride;
    const float* rows[] = {row_at(at - 1), row_at(at), row_at(at + 1)};
    kernels.depthwise(shape, rows, weight.data(), bias.data(), y.data() + i * shape.out_wide() * channels);
  }
  return y;
}

auto attend(Input<2> q, Input<2> k, Input<2> v, int64_t heads, std::optional<Input<3>> bias,
            const std::string& version) {
  const int64_t queries = tensor_of<2>(q).extent(0), width = tensor_of<2>(q).extent(1),
                keys = tensor_of<2>(k).extent(0);
  const AttentionShape shape = attention_shape(queries, keys, width, heads);
  tensor_of<2>(k).expect_shape("k", {keys, width});
  tensor_of<2>(v).expect_shape("v", {keys, width});
  constexpr int64_t kStep = AttentionBias::kStep;
  const int64_t stride = (queries + kStep - 1) / kStep * kStep;
  Buffer raised(bias ? heads * keys * stride : 0);
  if (bias) {
    tensor_of<3>(*bias).expect_shape("bias", {heads, keys, queries});
    for (int64_t row = 0; row < heads * keys; ++row) {
      std::copy_n(bias->data() + row * queries, queries, raised.data() + row * stride);
    }
  }
  Buffer scratch(attention_scratch(shape));
  auto out = new_array<float, 2>({queries, width});
  kernels_of(version).attend(shape, q.data(), k.data(), v.data(), {bias ? raised.data() : nullptr, stride},
                             out.data(), scratch.data());
  return out;
}

auto attend_parts(Input<2> q, Input<2> k, Input<2> v, int64_t heads, const std::vector<int64_t>& parts,
                  const std::string& version) {
  const int64_t queries = tensor_of<2>(q).extent(0), width = tensor_of<2>(q).extent(1),
                keys = tensor_of<2>(k).extent(0);
  AttentionShape shape = attention_shape(queries, keys, width, heads);
  tensor_of<2>(k).expect_shape("k", {keys, width});
  tensor_of<2>(v).expect_shape("v", {keys, width});
  require(std::all_of(parts.begin(), parts.end(), [](int64_t part) { return part >= 1; }) &&
              std::accumulate(parts.begin(), parts.end(), int64_t{0}) == keys,
          "parts: expected counts of at least one key that sum to ", keys);
  Buffer scratch(attention_scratch(shape)), sums(attention_sums(shape));
  auto out = new_array<float, 2>({queries, width});
  int64_t first = 0;
  for (const int64_t part : parts) {
    shape.keys = part;
    kernels_of(version).attend_part(shape, q.data(), k.data() + first * width, v.data() + first * width,
                                    {.first = first == 0, .last = first + part == keys}, sums.data(),
                                    out.data(), scratch.data());
    first += part;
  }
  return out;
}

}  // namespace

void bind_kernels(nb::module_& module) {
  using nb::arg;
  const auto best = isa_name(supported_isas().back());
  module.def("matmul", &matmul, arg("a").noconvert(), arg("weight").noconvert(),
             arg("bias").noconvert().none() = nb::none(), arg("residual").noconvert().none() = nb::none(),
             arg("relu") = false, arg("gelu") = false, arg("version") = best,
             arg("panel") = PackedMatrix::kPanel,
             "a [m, k] @ weight [k, n] + bias [r, n] (row i takes bias row i mod r) + residual [m, n], then "
             "ReLU or\n"
             "GELU. panel: columns of weight packed side by side, 16 or 32.");
  module.def("layer_norm", &layer_norm, arg("x").noconvert(), arg("weight").noconvert(),
             arg("bias").noconvert(), arg("eps"), arg("version") = best,
             "Normalises the rows of x [rows, n]; weight and bias [n].");
  module.def("gelu", &gelu, arg("x").noconvert(), arg("version") = best, "Exact GELU of x [n].");
  module.def("dot_rows", &dot_rows, arg("x").noconvert(), arg("h").noconvert(), arg("version") = best,
             "x [rows, n] . h [n] -> [rows].");
  module.def(
      "attend", &attend, arg("q").noconvert(), arg("k").noconvert(), arg("v").noconvert(), arg("heads"),
      arg("bias").noconvert().none() = nb::none(), arg("version") = best,
      "Multi-head attention of projected q [a, D] over k, v [b, D] -> [a, D]; bias [heads, b, a] raises "
      "the\n"
      "scores.");
  module.def("attend_parts", &attend_parts, arg("q").noconvert(), arg("k").noconvert(), arg("v").noconvert(),
             arg("heads"), arg("parts"), arg("version") = best,
             "The same without biases, keys in parts of the given counts, one after the other.");
  module.def(
      "depthwise", &depthwise, arg("x").noconvert(), arg("weight").noconvert(), arg("bias").noconvert(),
      arg("stride"), arg("version") = best,
      "3 x 3 convolution of every channel of x [h, w, C] by itself, weight [9, C], bias [C], zeros beyond\n"
      "the grid, stride 1 or 2.");
}

}  // namespace asam
