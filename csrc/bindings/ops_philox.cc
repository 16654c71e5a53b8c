#include "core/philox.h"

#include "bindings/array.h"
#include "bindings/gil.h"
#include "bindings/ops.h"

namespace nb = nanobind;

namespace asam {
namespace {

auto normal(std::uint64_t seed, std::int64_t n, std::int64_t dim, std::int64_t start) {
  philox_check(n, dim, start);
  auto out = new_array<float, 3>({n, kStreams, dim});
  const GilRelease release;
  philox_normal(seed, n, dim, start, out.data());
  return out;
}

}  // namespace

void bind_philox(nb::module_& module) {
  module.def("philox_normal", &normal, nb::arg("seed"), nb::arg("n"), nb::arg("dim"), nb::arg("start") = 0,
             "Standard normal latents of hypotheses start .. start + n - 1: float32 [n, 2, dim], prompt "
             "latent first.\n\n"
             "The numbers of asam_trt.philox.normal. Raises ValueError where dim is no positive multiple of "
             "4 or the\n"
             "hypotheses leave 0 .. 2**32 - 1.");
}

}  // namespace asam
