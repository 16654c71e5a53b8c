#include "bindings/gil.h"
#include "bindings/runtime.h"
#include "core/threads.h"

namespace py = pybind11;

namespace asam {

void bind_threads(py::module_& module) {
  module.def("get_num_threads", &num_threads, "Threads that this module's loops use.");
  module.def("set_num_threads", &set_num_threads, py::arg("count"), py::call_guard<GilRelease>(),
             "Sets them, 1 .. 1024.");
}

}  // namespace asam
