// _runtime.LatentPrior: NumPy arrays in, NumPy arrays out, nothing converted on the way.
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bindings/gil.h"
#include "bindings/numpy.h"
#include "bindings/runtime.h"
#include "encoder/prior.h"

namespace py = pybind11;

namespace asam {
namespace {

py::handle entry_of(const py::dict& entries, const char* name) {
  require(entries.contains(name), "config: expected an entry '", name, "', found none");
  return entries[name];
}

PriorConfig config_of(const py::dict& entries) {
  PriorConfig config;
  const std::pair<const char*, int64_t*> sizes[] = {{"grid", &config.grid},
                                                    {"channels", &config.channels},
                                                    {"latent", &config.latent},
                                                    {"heads", &config.heads},
                                                    {"convs", &config.convs}};
  for (const auto& [name, to] : sizes) *to = int_of(concat("config['", name, "']"), entry_of(entries, name));
  const py::handle widths = entry_of(entries, "widths");
  if (!py::isinstance<py::list>(widths)) {
    throw py::type_error(concat("config['widths']: expected a list of int, got ", type_name(widths)));
  }
  for (const auto& width : widths) config.widths.push_back(int_of("config['widths']", width));
  const py::handle strided = entry_of(entries, "strided");
  if (!py::isinstance<py::bool_>(strided)) {
    throw py::type_error(concat("config['strided']: expected a bool, got ", type_name(strided)));
  }
  config.strided = strided.cast<bool>();
  const py::handle range = entry_of(entries, "log_sigma_range");
  if (range.is_none()) {
    config.log_sigma_low = -std::numeric_limits<float>::infinity();
    config.log_sigma_high = std::numeric_limits<float>::infinity();
  } else {
    if (!py::isinstance<py::list>(range) || py::len(range) != 2) {
      throw py::type_error(
          concat("config['log_sigma_range']: expected None or [low, high], got ", type_name(range)));
    }
    const auto both = py::reinterpret_borrow<py::list>(range);
    for (const auto& bound : both) {
      if (!py::isinstance<py::float_>(bound)) {
        throw py::type_error(
            concat("config['log_sigma_range']: expected floating-point bounds, got ", type_name(bound)));
      }
    }
    config.log_sigma_low = both[0].cast<float>();
    config.log_sigma_high = both[1].cast<float>();
  }
  return config;
}

std::unique_ptr<LatentPrior> make_prior(const py::dict& config, const py::dict& weights,
                                        const std::optional<std::string>& isa) {
  const PriorConfig sizes = config_of(config);
  const HeldTensors tensors = tensors_of(weights);
  const Isa chosen = isa_of(isa);
  const GilRelease release;
  return std::make_unique<LatentPrior>(sizes, tensors.views, chosen);
}

std::pair<FloatArray, FloatArray> run(const LatentPrior& self, const py::object& embedding,
                                      const py::object& tokens, const py::object& dense) {
  const FloatArray map = as_float32("embedding", embedding);
  const auto cells = view<3>("embedding", map);
  FloatArray token_array, dense_array;
  Tensor<const float, 2> said;
  Tensor<const float, 3> everywhere;
  if (!tokens.is_none()) said = view<2>("tokens", token_array = as_float32("tokens", tokens));
  if (!dense.is_none()) {
    dense_array = as_float32("dense", dense);
    everywhere = dense_array.ndim() == 1
                     ? Tensor<const float, 3>(dense_array.data(), {dense_array.shape(0), 1, 1})
                     : view<3>("dense", dense_array);
  }
  const int64_t latent = self.config().latent;
  FloatArray mean(latent), sigma(latent);
  const Tensor<float, 1> mean_out(mean.mutable_data(), {latent}), sigma_out(sigma.mutable_data(), {latent});
  {
    const GilRelease release;
    self.run(cells, said, everywhere, mean_out, sigma_out);
  }
  return {mean, sigma};
}

}  // namespace

void bind_prior(py::module_& module) {
  py::class_<LatentPrior>(
      module, "LatentPrior",
      "A latent network: mean and standard deviation of the image latent, or of the prompt latent.\n\n"
      "Arrays are float32 and C-contiguous and never converted: another dtype is a TypeError, another\n"
      "shape, NaN or Inf a ValueError. Calls release the GIL and may run at once. Results do not depend\n"
      "on the number of threads, bit for bit.")
      .def(py::init(&make_prior), py::arg("config"), py::arg("weights"), py::kw_only(),
           py::arg("isa") = py::none(),
           "config: sizes (asam_trt.prior_spec.PriorConfig.as_dict()). weights: tensors by name, as\n"
           "asam.export_prior writes them. isa: instruction set, by default the best here.")
      .def("run", &run, py::arg("embedding"), py::arg("tokens") = py::none(), py::arg("dense") = py::none(),
           "embedding [C, e, e], and for a network that sees the prompt tokens [t, C] and dense [C] or\n"
           "[C, e, e] -> mean [L], sigma [L].");
}

}  // namespace asam
