// The float32 operations one by one, for tests and measurements.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <optional>

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

auto attend(Input<2> q, Input<2> k, Input<2> v, int64_t heads, const std::string& version) {
  const int64_t queries = tensor_of<2>(q).extent(0), width = tensor_of<2>(q).extent(1),
                keys = tensor_of<2>(k).extent(0);
  const AttentionShape shape = attention_shape(queries, keys, width, heads);
  tensor_of<2>(k).expect_shape("k", {keys, width});
  tensor_of<2>(v).expect_shape("v", {keys, width});
  Buffer scratch(attention_scratch(shape));
  auto out = new_array<float, 2>({queries, width});
  kernels_of(version).attend(shape, q.data(), k.data(), v.data(), out.data(), scratch.data());
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
  module.def("attend", &attend, arg("q").noconvert(), arg("k").noconvert(), arg("v").noconvert(),
             arg("heads"), arg("version") = best,
             "Multi-head attention of projected q [a, D] over k, v [b, D] -> [a, D].");
}

}  // namespace asam
