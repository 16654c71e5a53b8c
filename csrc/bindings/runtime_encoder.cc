// _runtime.ImageEncoder: NumPy arrays in, NumPy arrays out, nothing converted on the way.
#include <memory>
#include <optional>
#include <string>

#include "bindings/gil.h"
#include "bindings/numpy.h"
#include "bindings/runtime.h"
#include "encoder/encoder.h"

namespace py = pybind11;

namespace asam {
namespace {

EncoderConfig config_of(const py::dict& entries) {
  EncoderConfig config;
  const std::pair<const char*, int64_t*> sizes[] = {{"side", &config.side},
                                                    {"width", &config.width},
                                                    {"heads", &config.heads},
                                                    {"mlp_dim", &config.mlp_dim},
                                                    {"channels", &config.channels}};
  for (const auto& [name, to] : sizes) {
    require(entries.contains(name), "config: expected an entry '", name, "', found none");
    *to = int_of(concat("config['", name, "']"), entries[name]);
  }
  require(entries.contains("windows"), "config: expected an entry 'windows', found none");
  if (!py::isinstance<py::list>(entries["windows"])) {
    throw py::type_error(
        concat("config['windows']: expected a list of int, got ", type_name(entries["windows"])));
  }
  for (const auto& window : py::reinterpret_borrow<py::list>(entries["windows"])) {
    config.windows.push_back(int_of("config['windows']", window));
  }
  return config;
}

std::unique_ptr<ImageEncoder> make_encoder(const py::dict& config, const py::dict& weights,
                                           const std::optional<std::string>& isa,
                                           const std::string& precision) {
  const EncoderConfig sizes = config_of(config);
  const HeldTensors tensors = tensors_of(weights);
  const Isa chosen = isa_of(isa);
  const Precision type = precision_from_name(precision);
  const GilRelease release;
  return std::make_unique<ImageEncoder>(sizes, tensors.views, chosen, type);
}

FloatArray encode(const ImageEncoder& self, const py::object& image) {
  const FloatArray array = as_float32("image", image);
  const auto pixels = view<3>("image", array);
  const int64_t c = self.config().channels, e = self.config().grid();
  FloatArray embedding({c, e, e});
  const Tensor<float, 3> out(embedding.mutable_data(), {c, e, e});
  {
    const GilRelease release;
    self.encode(pixels, out);
  }
  return embedding;
}

}  // namespace

void bind_encoder(py::module_& module) {
  py::class_<ImageEncoder>(
      module, "ImageEncoder",
      "SAM's image encoder: patches, transformer blocks in windows or over the whole grid, neck.\n\n"
      "Arrays are float32 and C-contiguous and never converted: another dtype is a TypeError, another\n"
      "shape, NaN or Inf a ValueError. Calls release the GIL and may run at once. Results do not depend\n"
      "on the number of threads, bit for bit.")
      .def(py::init(&make_encoder), py::arg("config"), py::arg("weights"), py::kw_only(),
           py::arg("isa") = py::none(), py::arg("precision") = "float32",
           "config: sizes (asam_trt.encoder_spec.EncoderConfig.as_dict()). weights: tensors by name, as\n"
           "asam.export writes them. isa: instruction set, by default the best here. precision: float32,\n"
           "int16 or int8, of the large products.")
      .def_property_readonly(
          "isa", [](const ImageEncoder& self) { return std::string(isa_name(self.isa())); },
          "The instruction set its kernels use.")
      .def_property_readonly(
          "precision", [](const ImageEncoder& self) { return std::string(precision_name(self.precision())); },
          "float32, int16 or int8.")
      .def("encode", &encode, py::arg("image"),
           "image [3, S, S], normalised and padded -> embedding [C, e, e].");
}

}  // namespace asam
