#include "bindings/gil.h"
#include "bindings/ops.h"
#include "core/threads.h"

namespace nb = nanobind;

namespace asam {

void bind_threads(nb::module_& module) {
  module.def("get_num_threads", &num_threads, "Threads that this module's loops use.");
  module.def("set_num_threads", &set_num_threads, nb::arg("count"), nb::call_guard<GilRelease>(),
             "Sets them, 1 .. 1024.");
}

}  // namespace asam
