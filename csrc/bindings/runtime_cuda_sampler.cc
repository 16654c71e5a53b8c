// _runtime.CudaSampler: the sampler of bindings/runtime_sampler.cc on a GPU.
#include <algorithm>
#include <initializer_list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "bindings/cuda_array.h"
#include "bindings/dlpack.h"
#include "bindings/gil.h"
#include "bindings/numpy.h"
#include "bindings/runtime.h"
#include "bindings/sampler_config.h"
#include "core/cuda_loader.h"
#include "core/philox.h"

namespace py = pybind11;

namespace asam {
namespace {

int32_t cuda_precision(const std::string& name) {
  if (name == "float32") return ASAM_CUDA_FLOAT32;
  if (name == "bf16") return ASAM_CUDA_BF16;
  if (name == "fp16") return ASAM_CUDA_FP16;
  throw std::invalid_argument(concat("unknown precision '", name, "'; expected one of float32, bf16, fp16"));
}

// A state in GPU memory; kind 0 of an image, 1 of a prompt.
template <int Kind>
struct CudaState {
  CudaState(const asam_cuda_api& functions, asam_cuda_state* owned) : api(functions), state(owned) {}
  ~CudaState() { api.state_release(state); }
  CudaState(const CudaState&) = delete;
  CudaState& operator=(const CudaState&) = delete;

  const asam_cuda_api& api;
  asam_cuda_state* state;
};
using CudaImageState = CudaState<0>;
using CudaPromptState = CudaState<1>;

class CudaSampler {
 public:
  CudaSampler(const py::dict& config, const py::dict& weights, std::string precision)
      : api_(cuda_api()), config_(config_of(config)), precision_(std::move(precision)) {
    config_.check();
    const int32_t type = cuda_precision(precision_);
    const HeldTensors tensors = tensors_of(weights);
    std::vector<asam_cuda_tensor> list;
    for (const auto& [name, tensor] : tensors.views) {
      list.push_back(
          {name.c_str(), tensor.data, tensor.shape.data(), static_cast<int64_t>(tensor.shape.size())});
    }
    const asam_cuda_config sizes{config_.side,           config_.grid,
                                 config_.channels,       config_.latent,
                                 config_.mask_tokens,    config_.heads,
                                 config_.depth,          config_.mlp_dim,
                                 config_.iou_layers,     config_.combiner_layers,
                                 config_.sampled_tokens, config_.separate_masks};
    const GilRelease release;
    asam_cuda_sampler* sampler = nullptr;
    cuda_check(api_,
               api_.sampler_create(&sizes, list.data(), static_cast<int64_t>(list.size()), type, &sampler));
    const int status = api_.session_create(sampler, &session_);
    api_.sampler_release(sampler);  // the session keeps its own reference
    cuda_check(api_, status);
  }
  ~CudaSampler() { api_.session_destroy(session_); }
  CudaSampler(const CudaSampler&) = delete;
  CudaSampler& operator=(const CudaSampler&) = delete;

  const std::string& precision() const { return precision_; }

  std::shared_ptr<CudaImageState> image_state(const py::object& embedding, const py::object& mu,
                                              const py::object& sigma) {
    const int64_t c = config_.channels, e = config_.grid;
    const auto feature = FloatSource::of("embedding", embedding, {c, e, e});
    const auto [mean, scale] = latent("image", mu, sigma);
    const GilRelease release;
    wait_for({&feature, &mean, &scale});
    const std::lock_guard lock(encoding_);
    asam_cuda_state* state = nullptr;
    cuda_check(api_, api_.session_image(session_, feature.data, mean.data, scale.data, &state));
    return std::make_shared<CudaImageState>(api_, state);
  }

  std::shared_ptr<CudaPromptState> prompt_state(const CudaImageState&, const py::object& tokens,
                                                const py::object& dense, const py::object& mu,
                                                const py::object& sigma) {
    const int64_t c = config_.channels, e = config_.grid;
    const auto sparse = FloatSource::of("tokens", tokens, {-1, c});
    const bool map = py::len(dense.attr("shape")) == 3;
    const auto prompt = FloatSource::of("dense", dense, map ? std::vector{c, e, e} : std::vector{c});
    const auto [mean, scale] = latent("prompt", mu, sigma);
    const GilRelease release;
    wait_for({&sparse, &prompt, &mean, &scale});
    const std::lock_guard lock(sampling_);
    asam_cuda_state* state = nullptr;
    cuda_check(api_, api_.session_prompt(session_, sparse.data, sparse.shape[0], prompt.data, map, mean.data,
                                         scale.data, &state));
    return std::make_shared<CudaPromptState>(api_, state);
  }

  py::tuple sample(const CudaImageState& image, const CudaPromptState& prompt, const py::object& eps) {
    const auto noise = FloatSource::of("eps", eps, {-1, kStreams, config_.latent});
    {
      const GilRelease release;
      wait_for({&noise});
    }
    return draw(image, prompt, noise.shape[0], noise.data, nullptr);
  }

  py::tuple sample_seeded(const CudaImageState& image, const CudaPromptState& prompt, int64_t n,
                          uint64_t seed, int64_t start) {
    philox_check(n, config_.latent, start);
    const asam_cuda_rng rng{seed, static_cast<uint64_t>(start)};
    return draw(image, prompt, n, nullptr, &rng);
  }

  using Arrays = std::pair<std::shared_ptr<CudaArray>, std::shared_ptr<CudaArray>>;

  Arrays sample_on_device(const CudaImageState& image, const CudaPromptState& prompt, int64_t n,
                          uint64_t seed, int64_t start, std::optional<Arrays> out) {
    philox_check(n, config_.latent, start);
    const asam_cuda_rng rng{seed, static_cast<uint64_t>(start)};
    check_count(n);
    const int64_t side = config_.logits_side(), masks = n * config_.masks();
    if (!out) {
      out = {std::make_shared<CudaArray>(api_, session_, std::vector{masks, side, side}),
             std::make_shared<CudaArray>(api_, session_, std::vector{masks})};
    }
    require(
        out->first->shape() == std::vector{masks, side, side} && out->second->shape() == std::vector{masks},
        "out: expected arrays of shape [", masks, ", ", side, ", ", side, "] and [", masks, "]");
    const GilRelease release;
    run(image, prompt, n, nullptr, &rng, out->first->data(), out->second->data());
    return *out;
  }

  py::tuple statistics(const py::object& logits, std::pair<int64_t, int64_t> input,
                       std::pair<int64_t, int64_t> out, float threshold, bool packed) {
    const int64_t low = config_.logits_side();
    const auto maps = FloatSource::of("logits", logits, {-1, low, low});
    const int64_t n = maps.shape[0];
    const asam_cuda_geometry geometry{low, config_.side, input.first, input.second, out.first, out.second};
    uint64_t room = 0;
    cuda_check(api_, api_.statistics_workspace(&geometry, &room));  // before the sizes ask for memory
    py::array_t<int32_t> counts({out.first, out.second});
    py::array_t<int64_t> areas(n);
    int32_t* count = counts.mutable_data();
    int64_t* area = areas.mutable_data();
    py::object masks = py::none();
    uint64_t* bits = nullptr;
    if (packed) {
      py::array_t<uint64_t> words({n, (out.first * out.second + 63) / 64});
      bits = words.mutable_data();
      masks = std::move(words);
    }
    {
      const GilRelease release;
      wait_for({&maps});
      const std::lock_guard lock(sampling_);
      cuda_check(api_,
                 api_.session_statistics(session_, maps.data, n, &geometry, threshold, count, area, bits));
    }
    return py::make_tuple(std::move(counts), std::move(areas), std::move(masks));
  }

  int64_t graphs() const {
    int64_t captured = 0;
    cuda_check(api_, api_.session_graphs(session_, &captured));
    return captured;
  }

 private:
  std::pair<FloatSource, FloatSource> latent(const char* which, const py::object& mu,
                                             const py::object& sigma) {
    auto mean = FloatSource::of(concat("mu_", which), mu, {config_.latent});
    auto scale = FloatSource::of(concat("sigma_", which), sigma, {config_.latent});
    if (!scale.on_device) {
      const float* end = scale.data + config_.latent;
      const float* negative = std::find_if(scale.data, end, [](float x) { return x < 0.0f; });
      require(negative == end, "sigma_", which, ": expected no negative scale, got ",
              negative == end ? 0.0f : *negative);
    }
    return {mean, scale};
  }

  void wait_for(std::initializer_list<const FloatSource*> arguments) const {
    for (const FloatSource* each : arguments) {
      if (each->stream) {
        cuda_check(api_, api_.session_wait(session_, reinterpret_cast<void*>(*each->stream)));
      }
    }
  }

  static void check_count(int64_t n) { require(n >= 1, "n: expected at least one hypothesis, got ", n); }

  py::tuple draw(const CudaImageState& image, const CudaPromptState& prompt, int64_t n, const float* eps,
                 const asam_cuda_rng* rng) {
    check_count(n);
    const int64_t side = config_.logits_side(), masks = config_.masks();
    FloatArray logits({n * masks, side, side}), scores(n * masks);
    float *to_logits = logits.mutable_data(), *to_scores = scores.mutable_data();
    {
      const GilRelease release;
      run(image, prompt, n, eps, rng, to_logits, to_scores);
    }
    return py::make_tuple(std::move(logits), std::move(scores));
  }

  void run(const CudaImageState& image, const CudaPromptState& prompt, int64_t n, const float* eps,
           const asam_cuda_rng* rng, float* logits, float* scores) {
    const std::lock_guard lock(sampling_);
    cuda_check(api_, api_.session_sample(session_, image.state, prompt.state, n, eps, rng, logits, scores));
  }

  const asam_cuda_api& api_;
  SamplerConfig config_;
  std::string precision_;
  asam_cuda_session* session_ = nullptr;
  std::mutex encoding_, sampling_;
};

py::dict cuda_array_interface(const CudaArray& self) {
  py::dict out;
  out["version"] = 3;
  out["typestr"] = "<f4";
  out["shape"] = py::tuple(py::cast(self.shape()));
  out["data"] = py::make_tuple(reinterpret_cast<std::uintptr_t>(self.data()), false);
  out["strides"] = py::none();
  out["stream"] = py::none();  // the numbers are there already
  return out;
}

// The capsule's owner is a reference to the array.
py::capsule to_dlpack(const std::shared_ptr<CudaArray>& self, const py::kwargs&) {
  auto owner = std::make_unique<std::shared_ptr<CudaArray>>(self);
  auto managed = std::make_unique<dlpack::Managed>();
  managed->array = {self->data(),
                    {dlpack::kCuda, self->device()},
                    static_cast<int32_t>(self->shape().size()),
                    {dlpack::kFloat, 32, 1},
                    const_cast<int64_t*>(self->shape().data()),
                    nullptr,
                    0};
  managed->owner = owner.release();
  managed->deleter = [](dlpack::Managed* done) {
    delete static_cast<std::shared_ptr<CudaArray>*>(done->owner);
    delete done;
  };
  return py::capsule(managed.release(), "dltensor", [](PyObject* capsule) {
    // One that was taken has another name, and the taker calls the deleter.
    if (!PyCapsule_IsValid(capsule, "dltensor")) return;
    auto* left = static_cast<dlpack::Managed*>(PyCapsule_GetPointer(capsule, "dltensor"));
    left->deleter(left);
  });
}

}  // namespace

void bind_cuda_sampler(py::module_& module) {
  py::class_<CudaImageState, std::shared_ptr<CudaImageState>>(
      module, "CudaImageState", "What a CudaSampler computes once an image, in GPU memory; immutable.");
  py::class_<CudaPromptState, std::shared_ptr<CudaPromptState>>(
      module, "CudaPromptState", "What a CudaSampler computes once a prompt, in GPU memory; immutable.");
  py::class_<CudaArray, std::shared_ptr<CudaArray>>(
      module, "CudaArray",
      "float32 array in GPU memory. PyTorch, CuPy and others take it as it is: torch.from_dlpack(array),\n"
      "torch.as_tensor(array), cupy.asarray(array).")
      .def_property_readonly("shape", [](const CudaArray& self) { return py::tuple(py::cast(self.shape())); })
      .def_property_readonly("__cuda_array_interface__", &cuda_array_interface)
      .def("__dlpack__", &to_dlpack)
      .def("__dlpack_device__",
           [](const CudaArray& self) { return py::make_tuple(dlpack::kCuda, self.device()); })
      .def("numpy", &CudaArray::to_host, "A copy in host memory.");
  py::class_<CudaSampler>(
      module, "CudaSampler",
      "The Sampler on an NVIDIA GPU. Arguments are float32 NumPy arrays, or arrays in GPU memory with\n"
      "__cuda_array_interface__, whose stream is waited for; nothing is converted. Calls release the GIL;\n"
      "those that sample come one after the other, an image may be encoded beside them. The kernels of one\n"
      "(prompt shape, n) are captured in a CUDA graph at their first use.")
      .def(py::init<const py::dict&, const py::dict&, std::string>(), py::arg("config"), py::arg("weights"),
           py::kw_only(), py::arg("precision") = "float32",
           "config, weights: as for Sampler. precision: \"float32\", \"bf16\" or \"fp16\", the type that "
           "products\n"
           "multiply in. Raises BackendUnavailable without a GPU.")
      .def_property_readonly("precision", &CudaSampler::precision, "\"float32\", \"bf16\" or \"fp16\".")
      .def_property_readonly("graphs", &CudaSampler::graphs, "CUDA graphs captured so far.")
      .def("image_state", &CudaSampler::image_state, py::arg("embedding"), py::arg("mu_image"),
           py::arg("sigma_image"), "embedding [C, e, e]; mean and scale [L] of the image latent.")
      .def("prompt_state", &CudaSampler::prompt_state, py::arg("image_state"), py::arg("tokens"),
           py::arg("dense"), py::arg("mu_prompt"), py::arg("sigma_prompt"),
           "tokens [t, C], t >= 0; dense [C], or [C, e, e] with a mask prompt; mean and scale [L] of the "
           "prompt\n"
           "latent.")
      .def("sample", &CudaSampler::sample, py::arg("image_state"), py::arg("prompt_state"), py::arg("eps"),
           "eps [n, 2, L], prompt latent and image latent -> (logits [n, 4e, 4e], scores [n]) in host "
           "memory; where\n"
           "config has separate_masks, n * K of each, the K masks of a pass side by side.")
      .def("sample_seeded", &CudaSampler::sample_seeded, py::arg("image_state"), py::arg("prompt_state"),
           py::arg("n"), py::arg("seed"), py::arg("start") = 0,
           "sample with the numbers of asam_trt.philox.normal(seed, n, L, start=start), drawn on the GPU.")
      .def("sample_on_device", &CudaSampler::sample_on_device, py::arg("image_state"),
           py::arg("prompt_state"), py::arg("n"), py::arg("seed"), py::arg("start") = 0,
           py::arg("out") = py::none(),
           "sample_seeded whose (logits, scores) stay in GPU memory, as CudaArray; in `out`, what an earlier "
           "call\n"
           "of the same n returned, no memory is allocated. Those are overwritten on a stream of the "
           "sampler's own:\n"
           "wait first for your own work that still reads them.")
      .def("statistics", &CudaSampler::statistics, py::arg("logits"), py::arg("input_size"),
           py::arg("out_size"), py::arg("threshold") = 0.0f, py::kw_only(), py::arg("packed") = true,
           "logits [n, 4e, 4e] resized as SAM does to out_size (H, W), the image having been resized to\n"
           "input_size, and thresholded -> (counts int32 [H, W], how many masks hold the pixel; areas int64 "
           "[n];\n"
           "packed uint64 [n, words], a bit a pixel, or None where it is not asked for).");
}

}  // namespace asam
