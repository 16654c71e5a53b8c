// _runtime.ImageEncoder and TinyImageEncoder: NumPy arrays in, NumPy arrays out, nothing converted on the
// way.
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings/gil.h"
#include "bindings/numpy.h"
#include "bindings/runtime.h"
#include "encoder/encoder.h"

namespace py = pybind11;

namespace asam {
namespace {

py::handle entry_of(const py::dict& entries, const char* name) {
  require(entries.contains(name), "config: expected an entry '", name, "', found none");
  return entries[name];
}

int64_t size_of(const py::dict& entries, const char* name) {
  return int_of(concat("config['", name, "']"), entry_of(entries, name));
}

std::vector<int64_t> sizes_of(const py::dict& entries, const char* name) {
  const py::handle list = entry_of(entries, name);
  if (!py::isinstance<py::list>(list)) {
    throw py::type_error(concat("config['", name, "']: expected a list of int, got ", type_name(list)));
  }
  std::vector<int64_t> sizes;
  for (const auto& size : py::reinterpret_borrow<py::list>(list)) {
    sizes.push_back(int_of(concat("config['", name, "']"), size));
  }
  return sizes;
}

void read(const py::dict& entries, EncoderConfig& config) {
  config.side = size_of(entries, "side");
  config.width = size_of(entries, "width");
  config.heads = size_of(entries, "heads");
  config.mlp_dim = size_of(entries, "mlp_dim");
  config.channels = size_of(entries, "channels");
  config.windows = sizes_of(entries, "windows");
}

void read(const py::dict& entries, TinyConfig& config) {
  config.side = size_of(entries, "side");
  config.channels = size_of(entries, "channels");
  config.cell = size_of(entries, "cell");
  const std::pair<const char*, int64_t TinyConfig::Stage::*> parts[] = {
      {"widths", &TinyConfig::Stage::width},
      {"depths", &TinyConfig::Stage::depth},
      {"heads", &TinyConfig::Stage::heads},
      {"windows", &TinyConfig::Stage::window}};
  for (const auto& [name, part] : parts) {
    const std::vector<int64_t> sizes = sizes_of(entries, name);
    require(sizes.size() == config.stages.size(), "config['", name, "']: expected one entry a stage, ",
            config.stages.size(), ", got ", sizes.size());
    for (size_t i = 0; i < sizes.size(); ++i) config.stages[i].*part = sizes[i];
  }
}

template <class Encoder>
std::unique_ptr<Encoder> make_encoder(const py::dict& config, const py::dict& weights,
                                      const std::optional<std::string>& isa, const std::string& precision) {
  typename Encoder::Config sizes;
  read(config, sizes);
  const HeldTensors tensors = tensors_of(weights);
  const Isa chosen = isa_of(isa);
  const Precision type = precision_from_name(precision);
  const GilRelease release;
  return std::make_unique<Encoder>(sizes, tensors.views, chosen, type);
}

template <class Encoder>
FloatArray encode(const Encoder& self, const py::object& image) {
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

template <class Encoder>
void bind(py::module_& module, const char* name, const std::string& what, const std::string& config) {
  const std::string about =
      what +
      "\n\n"
      "Arrays are float32 and C-contiguous and never converted: another dtype is a TypeError, another\n"
      "shape, NaN or Inf a ValueError. Calls release the GIL and may run at once. Results do not depend\n"
      "on the number of threads, bit for bit.";
  const std::string made =
      "config: sizes (asam_trt.encoder_spec." + config +
      ".as_dict()). weights: tensors by name, as\n"
      "asam.export writes them. isa: instruction set, by default the best here. precision: float32,\n"
      "int16 or int8, of the large products.";
  py::class_<Encoder>(module, name, about.c_str())
      .def(py::init(&make_encoder<Encoder>), py::arg("config"), py::arg("weights"), py::kw_only(),
           py::arg("isa") = py::none(), py::arg("precision") = "float32", made.c_str())
      .def_property_readonly(
          "isa", [](const Encoder& self) { return std::string(isa_name(self.isa())); },
          "The instruction set its kernels use.")
      .def_property_readonly(
          "precision", [](const Encoder& self) { return std::string(precision_name(self.precision())); },
          "float32, int16 or int8.")
      .def("encode", &encode<Encoder>, py::arg("image"),
           "image [3, S, S], normalised and padded -> embedding [C, e, e].");
}

}  // namespace

void bind_encoder(py::module_& module) {
  bind<ImageEncoder>(
      module, "ImageEncoder",
      "SAM's image encoder: patches, transformer blocks in windows or over the whole grid, neck.",
      "EncoderConfig");
  bind<TinyImageEncoder>(
      module, "TinyImageEncoder",
      "MobileSAM's image encoder, TinyViT: patches, convolutions, transformer blocks in windows, neck.",
      "TinyEncoderConfig");
}

}  // namespace asam
