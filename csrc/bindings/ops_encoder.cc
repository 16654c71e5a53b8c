// The image encoder's own operation, for tests and measurements.
#include <nanobind/stl/string.h>

#include "bindings/array.h"
#include "bindings/ops.h"
#include "bindings/versions.h"
#include "ops/buffer.h"

namespace nb = nanobind;

namespace asam {
namespace {

auto relative_attend(Input<2> q, Input<2> k, Input<2> v, Input<2> table_h, Input<2> table_w,
                     Input<1> padded_key, Input<1> padded_value, int64_t wide, int64_t first,
                     const std::string& version, bool int16) {
  const int64_t queries = tensor_of<2>(q).extent(0), dim = tensor_of<2>(q).extent(1);
  const int64_t cells = tensor_of<2>(k).extent(0), reach = tensor_of<2>(table_h).extent(0);
  require(dim >= 1 && queries >= 1, "q: expected at least one query of at least one number");
  require(reach % 2 == 1, "table_h: expected 2 n - 1 rows, got ", reach);
  const int64_t window = (reach + 1) / 2;
  require(1 <= wide && wide <= window && cells >= 1 && cells % wide == 0 && cells / wide <= window,
          "wide: expected rows of 1 .. ", window, " cells that make up k's ", cells, " cells, got ", wide);
  require(first >= 0 && first <= cells - queries, "first: expected 0 .. ", cells - queries, ", got ", first);
  tensor_of<2>(k).expect_shape("k", {cells, dim});
  tensor_of<2>(v).expect_shape("v", {cells, dim});
  tensor_of<2>(table_h).expect_shape("table_h", {reach, dim});
  tensor_of<2>(table_w).expect_shape("table_w", {reach, dim});
  tensor_of<1>(padded_key).expect_shape("padded_key", {dim});
  tensor_of<1>(padded_value).expect_shape("padded_value", {dim});
  const RelativeAttentionShape shape{.dim = dim,
                                     .window = window,
                                     .high = cells / wide,
                                     .wide = wide,
                                     .first = first,
                                     .queries = queries,
                                     .q_stride = dim,
                                     .kv_stride = dim,
                                     .out_stride = dim};
  Buffer scratch(relative_attention_scratch(shape));
  auto out = new_array<float, 2>({queries, dim});
  const Kernels kernels = kernels_of(version);
  (int16 ? kernels.relative_attend_int16 : kernels.relative_attend)(
      shape, {table_h.data(), table_w.data(), padded_key.data(), padded_value.data()}, q.data(), k.data(),
      v.data(), out.data(), scratch.data());
  return out;
}

}  // namespace

void bind_encoder_ops(nb::module_& module) {
  using nb::arg;
  module.def("relative_attend", &relative_attend, arg("q").noconvert(), arg("k").noconvert(),
             arg("v").noconvert(), arg("table_h").noconvert(), arg("table_w").noconvert(),
             arg("padded_key").noconvert(), arg("padded_value").noconvert(), arg("wide"), arg("first") = 0,
             arg("version") = isa_name(supported_isas().back()), arg("int16") = false,
             "Attention of one head in a window of n x n cells of which high x wide are real: q [a, d] of "
             "the cells\n"
             "from `first` on, k and v [high * wide, d], tables of relative positions [2n - 1, d], key and "
             "value of\n"
             "the padded cells [d] -> [a, d]. int16: products of integers, where the version has them.");
}

}  // namespace asam
