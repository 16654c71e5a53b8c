// The bfloat16 operations one by one, for tests and measurements. A bfloat16 array is uint16 in NumPy.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <optional>
#include <tuple>

#include "bindings/array.h"
#include "bindings/attention_shape.h"
#include "bindings/epilogue.h"
#include "bindings/ops.h"
#include "bindings/versions.h"

namespace nb = nanobind;

namespace asam {
namespace {

auto to_bf16(Input<1> x, const std::string& version) {
  const int64_t n = tensor_of<1>(x).extent(0);
  auto y = new_array<Bf16, 1>({n});
  kernels_of(version).to_bf16(x.data(), n, y.data());
  return y;
}

auto matmul(InputOf<Bf16, 2> a, Input<2> weight, std::optional<Input<2>> bias,
            std::optional<Input<2>> residual, bool relu, bool gelu, const std::string& version) {
  const Kernels kernels = kernels_of(version);
  const int64_t rows = static_cast<int64_t>(a.shape(0)), in = static_cast<int64_t>(a.shape(1));
  const auto w = tensor_of<2>(weight);
  const int64_t out = w.extent(1);
  w.expect_shape("weight", {in, -1});
  const PackedBf16Matrix packed(in, {{w.data(), out}});
  const Epilogue epilogue = epilogue_of(bias, residual, rows, out, relu, gelu);
  auto wide = new_array<float, 2>({rows, out});
  auto narrow = new_array<Bf16, 2>({rows, out});
  kernels.matmul_bf16(
      a.data(), in, rows, packed, epilogue,
      {.wide = wide.data(), .wide_stride = out, .narrow = narrow.data(), .narrow_stride = out});
  return std::tuple(std::move(wide), std::move(narrow));
}

auto add_rows(Input<2> x, Input<2> row, bool relu, const std::string& version) {
  const int64_t rows = tensor_of<2>(x).extent(0), n = tensor_of<2>(x).extent(1);
  tensor_of<2>(row).expect_shape("row", {-1, n});
  require(row.shape(0) > 0, "row: expected at least one row, got none");
  auto y = new_array<Bf16, 2>({rows, n});
  kernels_of(version).add_rows_bf16(x.data(), rows, n, row.data(), static_cast<int64_t>(row.shape(0)), relu,
                                    y.data());
  return y;
}

auto layer_norm(Input<2> x, Input<1> weight, Input<1> bias, float eps, Input<2> plus, bool gelu,
                const std::string& version) {
  const int64_t rows = tensor_of<2>(x).extent(0), n = tensor_of<2>(x).extent(1);
  tensor_of<1>(weight).expect_shape("weight", {n});
  tensor_of<1>(bias).expect_shape("bias", {n});
  tensor_of<2>(plus).expect_shape("plus", {-1, n});
  require(n > 0 && plus.shape(0) > 0, "x, plus: expected rows of at least one element, got none");
  auto wide = new_array<float, 2>({rows, n});
  auto narrow = new_array<Bf16, 2>({rows, n});
  auto narrow_plus = new_array<Bf16, 2>({rows, n});
  kernels_of(version).layer_norm_bf16(x.data(), rows, n, weight.data(), bias.data(), eps,
                                      {.wide = wide.data(),
                                       .narrow = narrow.data(),
                                       .plus = plus.data(),
                                       .plus_rows = static_cast<int64_t>(plus.shape(0)),
                                       .narrow_plus = narrow_plus.data(),
                                       .gelu = gelu});
  return std::tuple(std::move(wide), std::move(narrow), std::move(narrow_plus));
}

}  // namespace

void bind_bf16(nb::module_& module) {
  using nb::arg;
  const auto best = isa_name(supported_isas().back());
  module.def("to_bf16", &to_bf16, arg("x").noconvert(), arg("version") = best,
             "x [n] rounded to bfloat16, whose bits come as uint16 [n].");
  module.def(
      "matmul_bf16", &matmul, arg("a").noconvert(), arg("weight").noconvert(),
      arg("bias").noconvert().none() = nb::none(), arg("residual").noconvert().none() = nb::none(),
      arg("relu") = false, arg("gelu") = false, arg("version") = best,
      "bfloat16 a [m, k] @ weight [k, n], rounded to bfloat16, + bias [r, n] (row i takes bias row i mod\n"
      "r) + residual [m, n], then ReLU or GELU: float32 [m, n], and the same in bfloat16.");
  module.def("add_rows_bf16", &add_rows, arg("x").noconvert(), arg("row").noconvert(), arg("relu") = false,
             arg("version") = best, "x [m, n] + row [r, n] (row i takes i mod r), then ReLU, in bfloat16.");
  module.def("layer_norm_bf16", &layer_norm, arg("x").noconvert(), arg("weight").noconvert(),
             arg("bias").noconvert(), arg("eps"), arg("plus").noconvert(), arg("gelu") = false,
             arg("version") = best,
             "Normalises the rows of x [m, n], then GELU: float32 y, bfloat16 y, bfloat16 y + plus [r, n].");
}

}  // namespace asam
