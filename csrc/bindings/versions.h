// Arguments that bindings of single operations share.
//
// version: "reference" (readable scalar code) or the name of an instruction set this processor runs.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <algorithm>
#include <string>

#include "core/isa.h"
#include "core/tensor.h"
#include "ops/kernels.h"

namespace asam {

template <class T, size_t Rank>
using InputOf = nanobind::ndarray<const T, nanobind::numpy, nanobind::ndim<Rank>, nanobind::c_contig,
                                  nanobind::device::cpu>;

template <size_t Rank>
using Input = InputOf<float, Rank>;

template <size_t Rank, class T>
Tensor<const T, Rank> tensor_of(const InputOf<T, Rank>& array) {
  Shape<Rank> shape;
  for (size_t axis = 0; axis < Rank; ++axis) shape[axis] = static_cast<int64_t>(array.shape(axis));
  return {array.data(), shape};
}

inline Kernels kernels_of(const std::string& version) {
  if (version == "reference") return Kernels::reference();
  const Isa isa = isa_from_name(version);
  const auto& here = supported_isas();
  require(std::find(here.begin(), here.end(), isa) != here.end(), "version: this processor does not run '",
          version, "'");
  return Kernels::of(isa);
}

}  // namespace asam
