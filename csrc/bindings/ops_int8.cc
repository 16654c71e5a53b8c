// The 8-bit operations one by one, for tests and measurements.
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>

#include <algorithm>
#include <optional>
#include <tuple>

#include "bindings/array.h"
#include "bindings/epilogue.h"
#include "bindings/ops.h"
#include "bindings/versions.h"

namespace nb = nanobind;

namespace asam {
namespace {

auto quantise_rows(Input<2> x, const std::string& version) {
  const int64_t rows = tensor_of<2>(x).extent(0), n = tensor_of<2>(x).extent(1);
  auto y = new_array<uint8_t, 2>({rows, n});
  auto scale = new_array<float, 1>({rows});
  auto zero = new_array<int32_t, 1>({rows});
  const Kernels kernels = kernels_of(version);
  for (int64_t r = 0; r < rows; ++r) {
    kernels.quantise_row(x.data() + r * n, n, y.data() + r * n, scale.data() + r, zero.data() + r);
  }
  return std::tuple(std::move(y), std::move(scale), std::move(zero));
}

auto matmul(InputOf<uint8_t, 2> a, Input<1> scale, InputOf<int32_t, 1> zero, Input<2> weight,
            std::optional<Input<2>> bias, std::optional<Input<2>> residual, bool relu, bool gelu,
            const std::string& version) {
  const int64_t rows = static_cast<int64_t>(a.shape(0)), in = static_cast<int64_t>(a.shape(1));
  const auto w = tensor_of<2>(weight);
  const int64_t out = w.extent(1), padded = PackedInt8Matrix::padded(in);
  w.expect_shape("weight", {in, -1});
  tensor_of<1>(scale).expect_shape("scale", {rows});
  tensor_of<1>(zero).expect_shape("zero", {rows});
  BufferOf<uint8_t> groups(rows * padded);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(a.data() + r * in, in, groups.data() + r * padded);
  const PackedInt8Matrix packed(in, {{w.data(), out}});
  const Epilogue epilogue = epilogue_of(bias, residual, rows, out, relu, gelu);
  auto c = new_array<float, 2>({rows, out});
  kernels_of(version).matmul_int8({groups.data(), padded, scale.data(), zero.data()}, rows, packed, epilogue,
                                  c.data(), out);
  return c;
}

}  // namespace

void bind_int8(nb::module_& module) {
  using nb::arg;
  const auto best = isa_name(supported_isas().back());
  module.def(
      "quantise_rows", &quantise_rows, arg("x").noconvert(), arg("version") = best,
      "Rows of x [m, n] in 8 bits: uint8 y [m, n], float32 scale [m], int32 zero [m], so that x is near\n"
      "scale (y - zero).");
  module.def(
      "matmul_int8", &matmul, arg("a").noconvert(), arg("scale").noconvert(), arg("zero").noconvert(),
      arg("weight").noconvert(), arg("bias").noconvert().none() = nb::none(),
      arg("residual").noconvert().none() = nb::none(), arg("relu") = false, arg("gelu") = false,
      arg("version") = best,
      "scale (a - zero), a uint8 [m, k], @ weight [k, n], each column of it in 8 bits, + bias [r, n] (row i\n"
      "takes bias row i mod r) + residual [m, n], then ReLU or GELU: float32 [m, n].");
}

}  // namespace asam
