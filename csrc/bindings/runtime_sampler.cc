// _runtime.Sampler: NumPy arrays in, NumPy arrays out, nothing converted on the way.
#include <memory>
#include <optional>
#include <string>

#include "bindings/gil.h"
#include "bindings/numpy.h"
#include "bindings/runtime.h"
#include "bindings/sampler_config.h"
#include "core/isa.h"
#include "core/philox.h"
#include "core/tensor.h"
#include "sampler/sampler.h"

namespace py = pybind11;

namespace asam {
namespace {

std::unique_ptr<Sampler> make_sampler(const py::dict& config, const py::dict& weights,
                                      const std::optional<std::string>& isa, const std::string& precision,
                                      int64_t block) {
  const SamplerConfig sizes = config_of(config);
  const HeldTensors tensors = tensors_of(weights);
  const Isa chosen = isa_of(isa);
  const Precision type = precision_from_name(precision);
  const GilRelease release;
  return std::make_unique<Sampler>(sizes, tensors.views, chosen, type, block);
}

std::shared_ptr<const ImageState> image_state(const Sampler& self, const py::object& embedding,
                                              const py::object& mu, const py::object& sigma) {
  const FloatArray arrays[] = {as_float32("embedding", embedding), as_float32("mu_image", mu),
                               as_float32("sigma_image", sigma)};
  const auto feature = view<3>("embedding", arrays[0]);
  const auto mean = view<1>("mu_image", arrays[1]), scale = view<1>("sigma_image", arrays[2]);
  const GilRelease release;
  return self.image_state(feature, mean, scale);
}

std::shared_ptr<const PromptState> prompt_state(const Sampler& self, const ImageState& image,
                                                const py::object& tokens, const py::object& dense,
                                                const py::object& mu, const py::object& sigma) {
  const FloatArray arrays[] = {as_float32("tokens", tokens), as_float32("dense", dense),
                               as_float32("mu_prompt", mu), as_float32("sigma_prompt", sigma)};
  const FloatArray& prompt = arrays[1];
  require(prompt.ndim() == 1 || prompt.ndim() == 3, "dense: expected shape [C] or [C, e, e], got ",
          shape_text(shape_of(prompt)));
  const auto map = prompt.ndim() == 3 ? view<3>("dense", prompt)
                                      : Tensor<const float, 3>(prompt.data(), {prompt.shape(0), 1, 1});
  const auto sparse = view<2>("tokens", arrays[0]);
  const auto mean = view<1>("mu_prompt", arrays[2]), scale = view<1>("sigma_prompt", arrays[3]);
  const GilRelease release;
  return self.prompt_state(image, sparse, map, mean, scale);
}

// Arrays for the masks of n passes, and views of them.
struct Drawn {
  explicit Drawn(const Sampler& sampler, int64_t n)
      : side(sampler.config().logits_side()),
        logits({n * sampler.config().masks(), side, side}),
        scores(n * sampler.config().masks()) {}

  Tensor<float, 3> logits_view() { return {logits.mutable_data(), {logits.shape(0), side, side}}; }
  Tensor<float, 1> scores_view() { return {scores.mutable_data(), {scores.shape(0)}}; }
  py::tuple take() { return py::make_tuple(std::move(logits), std::move(scores)); }

  int64_t side;
  FloatArray logits, scores;
};

py::tuple sample(const Sampler& self, const ImageState& image, const PromptState& prompt,
                 const py::object& eps) {
  const FloatArray array = as_float32("eps", eps);
  const auto noise = view<3>("eps", array);
  require(noise.extent(0) >= 1, "eps: expected at least one hypothesis, got shape ",
          shape_text(noise.shape()));
  Drawn drawn(self, noise.extent(0));
  const auto logits = drawn.logits_view();
  const auto scores = drawn.scores_view();
  {
    const GilRelease release;
    self.sample(image, prompt, noise, logits, scores);
  }
  return drawn.take();
}

py::tuple sample_seeded(const Sampler& self, const ImageState& image, const PromptState& prompt, int64_t n,
                        uint64_t seed, int64_t start) {
  require(n >= 1, "n: expected at least one hypothesis, got ", n);
  philox_check(n, self.config().latent, start);  // before n decides how much memory is asked for
  Drawn drawn(self, n);
  const auto logits = drawn.logits_view();
  const auto scores = drawn.scores_view();
  {
    const GilRelease release;
    self.sample_seeded(image, prompt, seed, start, logits, scores);
  }
  return drawn.take();
}

}  // namespace

void bind_sampler(py::module_& module) {
  py::class_<ImageState, std::shared_ptr<ImageState>>(module, "ImageState",
                                                      "What a Sampler computes once an image; immutable.");
  py::class_<PromptState, std::shared_ptr<PromptState>>(module, "PromptState",
                                                        "What a Sampler computes once a prompt; immutable.")
      .def_property_readonly(
          "tokens", [](const PromptState& state) { return state.tokens; },
          "T, output tokens and prompt tokens.");
  py::class_<Sampler>(
      module, "Sampler",
      "Draws hypotheses: latents, combiners, two-way transformer, upscaling, ensemble, fused.\n\n"
      "Arrays are float32 and C-contiguous and never converted: another dtype is a TypeError, another\n"
      "shape, NaN or Inf a ValueError, each naming what was expected and what came. Calls release the\n"
      "GIL and may run at once. Results do not depend on threads, n or block, bit for bit.")
      .def(py::init(&make_sampler), py::arg("config"), py::arg("weights"), py::kw_only(),
           py::arg("isa") = py::none(), py::arg("precision") = "float32", py::arg("block") = 0,
           "config: sizes (asam_trt.sampler_spec.SamplerConfig.as_dict()). weights: folded tensors by name\n"
           "(asam_trt.fold). isa: instruction set, by default the best here. precision: \"float32\",\n"
           "\"int16\" or \"int8\", the numbers that products take; the last two are the slow reference\n"
           "where the instruction set has no kernels for them. block: hypotheses that pass through together, "
           "0\n"
           "chooses.")
      .def_property_readonly(
          "isa", [](const Sampler& self) { return std::string(isa_name(self.isa())); },
          "The instruction set its kernels use.")
      .def_property_readonly(
          "precision", [](const Sampler& self) { return std::string(precision_name(self.precision())); },
          "\"float32\", \"int16\" or \"int8\".")
      .def("image_state", &image_state, py::arg("embedding"), py::arg("mu_image"), py::arg("sigma_image"),
           "embedding [C, e, e]; mean and scale [L] of the image latent.")
      .def("prompt_state", &prompt_state, py::arg("image_state"), py::arg("tokens"), py::arg("dense"),
           py::arg("mu_prompt"), py::arg("sigma_prompt"),
           "tokens [t, C], t >= 0; dense [C], or [C, e, e] with a mask prompt; mean and scale [L] of the "
           "prompt\n"
           "latent.")
      .def("sample", &sample, py::arg("image_state"), py::arg("prompt_state"), py::arg("eps"),
           "eps [n, 2, L], prompt latent and image latent -> (logits [n, 4e, 4e], scores [n]); where config "
           "has\n"
           "separate_masks, n * K of each, the K masks of a pass side by side.")
      .def("sample_seeded", &sample_seeded, py::arg("image_state"), py::arg("prompt_state"), py::arg("n"),
           py::arg("seed"), py::arg("start") = 0,
           "sample with the numbers of asam_trt.philox.normal(seed, n, L, start=start).");
}

}  // namespace asam
