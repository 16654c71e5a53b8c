// The operations on integers one by one, for tests and measurements.
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

auto quantise_int8(Input<2> x, const std::string& version) {
  const int64_t rows = tensor_of<2>(x).extent(0), n = tensor_of<2>(x).extent(1);
  auto y = new_array<uint8_t, 2>({rows, n});
  auto scale = new_array<float, 1>({rows});
  auto zero = new_array<int32_t, 1>({rows});
  kernels_of(version).quantise_int8(x.data(), n, rows, n, y.data(), n, scale.data(), zero.data());
  return std::tuple(std::move(y), std::move(scale), std::move(zero));
}

auto quantise_int16(Input<2> x, const std::string& version) {
  const int64_t rows = tensor_of<2>(x).extent(0), n = tensor_of<2>(x).extent(1);
  auto y = new_array<int16_t, 2>({rows, n});
  auto scale = new_array<float, 1>({rows});
  kernels_of(version).quantise_int16(x.data(), n, rows, n, y.data(), n, scale.data());
  return std::tuple(std::move(y), std::move(scale));
}

// A copy with rows that may be read up to a whole group.
template <class T>
BufferOf<T> padded_rows(const InputOf<T, 2>& a, int64_t stride) {
  const int64_t rows = static_cast<int64_t>(a.shape(0)), in = static_cast<int64_t>(a.shape(1));
  BufferOf<T> out(rows * stride);
  for (int64_t r = 0; r < rows; ++r) std::copy_n(a.data() + r * in, in, out.data() + r * stride);
  return out;
}

auto matmul_int8(InputOf<uint8_t, 2> a, Input<1> scale, InputOf<int32_t, 1> zero, Input<2> weight,
                 std::optional<Input<2>> bias, std::optional<Input<2>> residual, bool relu, bool gelu,
                 const std::string& version) {
  const int64_t rows = static_cast<int64_t>(a.shape(0)), in = static_cast<int64_t>(a.shape(1));
  const auto w = tensor_of<2>(weight);
  const int64_t out = w.extent(1), stride = PackedInt8Matrix::padded(in);
  w.expect_shape("weight", {in, -1});
  tensor_of<1>(scale).expect_shape("scale", {rows});
  tensor_of<1>(zero).expect_shape("zero", {rows});
  const PackedInt8Matrix packed(in, {{w.data(), out}});
  const BufferOf<uint8_t> groups = padded_rows(a, stride);
  const Epilogue epilogue = epilogue_of(bias, residual, rows, out, relu, gelu);
  auto c = new_array<float, 2>({rows, out});
  kernels_of(version).matmul_int8({groups.data(), stride, scale.data(), zero.data()}, rows, packed, epilogue,
                                  c.data(), out);
  return c;
}

auto matmul_int16(InputOf<int16_t, 2> a, Input<1> scale, Input<2> weight, std::optional<Input<2>> bias,
                  std::optional<Input<2>> residual, bool relu, bool gelu, const std::string& version) {
  const int64_t rows = static_cast<int64_t>(a.shape(0)), in = static_cast<int64_t>(a.shape(1));
  const auto w = tensor_of<2>(weight);
  const int64_t out = w.extent(1), stride = PackedInt16Matrix::padded(in);
  w.expect_shape("weight", {in, -1});
  tensor_of<1>(scale).expect_shape("scale", {rows});
  const PackedInt16Matrix packed(in, {{w.data(), out}});
  const BufferOf<int16_t> pairs = padded_rows(a, stride);
  const Epilogue epilogue = epilogue_of(bias, residual, rows, out, relu, gelu);
  auto c = new_array<float, 2>({rows, out});
  kernels_of(version).matmul_int16({pairs.data(), stride, scale.data()}, rows, packed, epilogue, c.data(),
                                   out);
  return c;
}

}  // namespace

void bind_integers(nb::module_& module) {
  using nb::arg;
  const auto best = isa_name(supported_isas().back());
  module.def(
      "quantise_int8", &quantise_int8, arg("x").noconvert(), arg("version") = best,
      "Rows of x [m, n] in 8 bits: uint8 y [m, n], float32 scale [m], int32 zero [m], so that x is near\n"
      "scale (y - zero).");
  module.def(
      "quantise_int16", &quantise_int16, arg("x").noconvert(), arg("version") = best,
      "Rows of x [m, n] in 16 bits: int16 y [m, n], float32 scale [m], so that x is near scale y, and the\n"
      "squares of a row of y add up to less than 2^31.");
  module.def(
      "matmul_int8", &matmul_int8, arg("a").noconvert(), arg("scale").noconvert(), arg("zero").noconvert(),
      arg("weight").noconvert(), arg("bias").noconvert().none() = nb::none(),
      arg("residual").noconvert().none() = nb::none(), arg("relu") = false, arg("gelu") = false,
      arg("version") = best,
      "scale (a - zero), a uint8 [m, k], @ weight [k, n], each column of it in 8 bits, + bias [r, n] (row\n"
      "i takes bias row i mod r) + residual [m, n], then ReLU or GELU: float32 [m, n].");
  module.def(
      "matmul_int16", &matmul_int16, arg("a").noconvert(), arg("scale").noconvert(),
      arg("weight").noconvert(), arg("bias").noconvert().none() = nb::none(),
      arg("residual").noconvert().none() = nb::none(), arg("relu") = false, arg("gelu") = false,
      arg("version") = best,
      "scale a, a int16 [m, k] as quantise_int16 gives it, @ weight [k, n], each column of it in 16 bits,\n"
      "+ bias [r, n] (row i takes bias row i mod r) + residual [m, n], then ReLU or GELU: float32 [m, n].");
}

}  // namespace asam
