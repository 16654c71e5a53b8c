// NumPy arguments of asam_trt._runtime: taken as they are, nothing converted.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "core/isa.h"
#include "core/named_tensors.h"
#include "core/tensor.h"

namespace asam {

using FloatArray = pybind11::array_t<float, pybind11::array::c_style>;

inline std::vector<int64_t> shape_of(const pybind11::array& array) {
  return {array.shape(), array.shape() + array.ndim()};
}

inline std::string type_name(pybind11::handle value) {
  return pybind11::str(pybind11::type::of(value).attr("__name__")).cast<std::string>();
}

// A float32 C-contiguous array, as it is. TypeError or ValueError says what came instead.
inline FloatArray as_float32(const std::string& name, pybind11::handle value) {
  namespace py = pybind11;
  if (!py::isinstance<py::array>(value)) {
    throw py::type_error(concat(name, ": expected a float32 NumPy array, got ", type_name(value)));
  }
  const auto array = py::reinterpret_borrow<py::array>(value);
  if (!array.dtype().equal(py::dtype::of<float>())) {
    throw py::type_error(
        concat(name, ": expected dtype float32, got ", py::str(array.dtype()).cast<std::string>()));
  }
  constexpr int kNeeded = int{py::array::c_style} | int{py::detail::npy_api::NPY_ARRAY_ALIGNED_};
  require((array.flags() & kNeeded) == kNeeded, name,
          ": expected an aligned C-contiguous array, got another layout; pass numpy.ascontiguousarray of it");
  return py::reinterpret_borrow<FloatArray>(value);
}

template <size_t Rank>
Tensor<const float, Rank> view(const std::string& name, const FloatArray& array) {
  require(array.ndim() == static_cast<pybind11::ssize_t>(Rank), name, ": expected ", Rank,
          " axes, got shape ", shape_text(shape_of(array)));
  Shape<Rank> shape;
  for (size_t axis = 0; axis < Rank; ++axis) shape[axis] = array.shape(static_cast<pybind11::ssize_t>(axis));
  return {array.data(), shape};
}

// Views of a dict's arrays, and the arrays: without the GIL the dict may change.
struct HeldTensors {
  TensorMap views;
  std::vector<FloatArray> arrays;
};

// Of a dict of name -> float32 array.
inline HeldTensors tensors_of(const pybind11::dict& weights) {
  namespace py = pybind11;
  HeldTensors tensors;
  for (const auto& [key, value] : weights) {
    if (!py::isinstance<py::str>(key)) throw py::type_error("weights: expected names of type str");
    const auto name = key.cast<std::string>();
    const FloatArray array = as_float32("weights['" + name + "']", value);
    tensors.views[name] = {array.data(), shape_of(array)};
    tensors.arrays.push_back(array);
  }
  return tensors;
}

// A whole number that is no bool. TypeError says what came instead.
inline int64_t int_of(const std::string& name, pybind11::handle value) {
  namespace py = pybind11;
  if (!py::isinstance<py::int_>(value) || py::isinstance<py::bool_>(value)) {
    throw py::type_error(concat(name, ": expected an int, got ", type_name(value)));
  }
  return value.cast<int64_t>();
}

// The instruction set asked for, which must run here; by default the best one.
inline Isa isa_of(const std::optional<std::string>& name) {
  const Isa chosen = name ? isa_from_name(*name) : active_isa();
  const auto& here = supported_isas();
  require(std::find(here.begin(), here.end(), chosen) != here.end(), "isa: this processor does not run '",
          isa_name(chosen), "'");
  return chosen;
}

}  // namespace asam
