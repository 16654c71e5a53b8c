#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include "bindings/gil.h"
#include "bindings/runtime.h"
#include "core/cuda_loader.h"
#include "core/philox.h"

namespace py = pybind11;

namespace asam {
namespace {

py::dict describe(const asam_cuda_device& device) {
  py::dict row;
  row["name"] = device.name;
  row["compute_capability"] = py::make_tuple(device.major, device.minor);
  row["multiprocessors"] = device.multiprocessors;
  row["memory_bytes"] = device.memory_bytes;
  return row;
}

py::dict report() {
  const CudaReport found = [] {
    const GilRelease release;
    return cuda_report();
  }();
  py::list devices;
  for (const asam_cuda_device& device : found.devices) devices.append(describe(device));
  py::dict result;
  result["library"] = found.library;
  result["problem"] = found.problem;
  result["runtime"] = found.runtime;
  result["driver"] = found.driver;
  result["devices"] = devices;
  return result;
}

py::array_t<float> normal(std::uint64_t seed, std::int64_t n, std::int64_t dim, std::int64_t start) {
  philox_check(n, dim, start);
  py::array_t<float> out({n, kStreams, dim});
  float* data = out.mutable_data();
  const GilRelease release;
  cuda_philox_normal(seed, n, dim, start, data);
  return out;
}

}  // namespace

void bind_cuda(py::module_& module) {
  module.def("cuda_report", &report,
             "What of CUDA is here: {library, problem, runtime, driver, devices}. `problem` is empty where "
             "it runs.");
  module.def("cuda_normal", &normal, py::arg("seed"), py::arg("n"), py::arg("dim"), py::kw_only(),
             py::arg("start") = 0,
             "asam_trt.philox.normal computed on the GPU: float32 [n, 2, dim]. Raises BackendUnavailable "
             "without one.");
}

}  // namespace asam
