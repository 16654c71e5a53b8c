// A libasam_cuda.so whose device is the processor: the sampler of csrc/core/cuda_api.h over the CPU's. States
// and workspaces are the caller's memory, as on a GPU, and are filled to their declared ends.
#include <atomic>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <vector>

#include "core/cuda_api.h"
#include "core/named_tensors.h"
#include "core/precision.h"
#include "sampler/sampler.h"

namespace {

thread_local std::string failure;
std::atomic<int> depth = 0;  // calls of this library that are under way, whose allocations are its own
std::atomic<int64_t> alive = 0;

struct Entry {
  Entry() { ++depth; }
  ~Entry() { --depth; }
};

template <typename Body>
int boundary(Body&& body) noexcept {
  const Entry entry;
  try {
    body();
    return ASAM_CUDA_OK;
  } catch (const std::invalid_argument& error) {
    failure = error.what();
    return ASAM_CUDA_BAD_ARGUMENT;
  } catch (const std::exception& error) {
    failure = error.what();
    return ASAM_CUDA_FAILED;
  }
}

std::vector<float> copy(const float* from, int64_t count) {
  return std::vector<float>(from, from + count);
}

// What a state holds, one after the other, from its start.
struct Reader {
  const float* at;
  const float* next(int64_t count) {
    const float* found = at;
    at += count;
    return found;
  }
};

}  // namespace

struct asam_cuda_sampler {
  asam::SamplerConfig config;
  std::vector<std::vector<float>> data;
  std::unique_ptr<asam::Sampler> sampler;
  std::atomic<int64_t> references = 1;

  int64_t image_floats() const { return config.channels * config.cells() + 2 * config.latent; }
  int64_t prompt_floats(int64_t t, bool map) const {
    return t * config.channels + config.channels * (map ? config.cells() : 1) + 2 * config.latent;
  }
  int64_t workspace_floats(int64_t n, int64_t t) const { return 17 + 5 * n + 3 * t; }
};

namespace {

int create(const asam_cuda_config* given, const asam_cuda_tensor* tensors, int64_t count, int32_t precision,
           asam_cuda_sampler** out) {
  return boundary([&] {
    auto made = std::make_unique<asam_cuda_sampler>();
    asam::SamplerConfig& config = made->config;
    config.side = given->side;
    config.grid = given->grid;
    config.channels = given->channels;
    config.latent = given->latent;
    config.mask_tokens = given->mask_tokens;
    config.heads = given->heads;
    config.depth = given->depth;
    config.mlp_dim = given->mlp_dim;
    config.iou_layers = given->iou_layers;
    config.combiner_layers = given->combiner_layers;
    config.sampled_tokens = given->sampled_tokens != 0;
    asam::TensorMap named;
    for (int64_t i = 0; i < count; ++i) {
      asam::NamedTensor tensor{nullptr,
                               std::vector<int64_t>(tensors[i].shape, tensors[i].shape + tensors[i].rank)};
      made->data.push_back(copy(tensors[i].data, tensor.size()));
      tensor.data = made->data.back().data();
      named.emplace(tensors[i].name, tensor);
    }
    const auto kind =
        precision == ASAM_CUDA_FLOAT32 ? asam::Precision::float32 : asam::Precision::int16;  // as near
    made->sampler = std::make_unique<asam::Sampler>(config, named, asam::active_isa(), kind);
    ++alive;
    *out = made.release();
  });
}

void retain(asam_cuda_sampler* sampler) {
  ++sampler->references;
}

void release(asam_cuda_sampler* sampler) {
  const Entry entry;
  if (sampler != nullptr && --sampler->references == 0) {
    --alive;
    const std::unique_ptr<asam_cuda_sampler> last(sampler);
  }
}

int sizes(const asam_cuda_sampler* sampler, int64_t n, int64_t t, int32_t map, asam_cuda_sizes* out) {
  return boundary([&] {
    out->image_state = sizeof(float) * sampler->image_floats();
    out->prompt_state = sizeof(float) * sampler->prompt_floats(t, map != 0);
    out->workspace = sizeof(float) * sampler->workspace_floats(n, t);
  });
}

int image(const asam_cuda_sampler* sampler, const float* embedding, const float* mu, const float* sigma,
          void* state, void*) {
  return boundary([&] {
    const asam::SamplerConfig& config = sampler->config;
    float* to = static_cast<float*>(state);
    to = std::copy_n(embedding, config.channels * config.cells(), to);
    to = std::copy_n(mu, config.latent, to);
    std::copy_n(sigma, config.latent, to);
  });
}

int prompt(const asam_cuda_sampler* sampler, const float* tokens, int64_t t, const float* dense, int32_t map,
           const float* mu, const float* sigma, void* state, void* workspace, void*) {
  return boundary([&] {
    const asam::SamplerConfig& config = sampler->config;
    asam::require((tokens == nullptr) == (t == 0), "expected tokens unless there are none");
    std::memset(workspace, 0x77, sizeof(float) * sampler->workspace_floats(1, t));
    float* to = static_cast<float*>(state);
    if (t > 0) to = std::copy_n(tokens, t * config.channels, to);
    to = std::copy_n(dense, config.channels * (map ? config.cells() : 1), to);
    to = std::copy_n(mu, config.latent, to);
    std::copy_n(sigma, config.latent, to);
  });
}

int run(const asam_cuda_sampler* sampler, const void* image_state, const void* prompt_state, int64_t t,
        int32_t map, int64_t n, const float* eps, const asam_cuda_rng* rng, float* logits, float* scores,
        void* workspace, void*) {
  return boundary([&] {
    asam::require(eps != nullptr && rng == nullptr, "expected eps");
    const asam::SamplerConfig& config = sampler->config;
    std::memset(workspace, 0x55, sizeof(float) * sampler->workspace_floats(n, t));
    const int64_t c = config.channels, e = config.grid, latent = config.latent, extent = map ? e : 1;
    Reader from{static_cast<const float*>(image_state)};
    const float* embedding = from.next(c * e * e);
    const float* mu = from.next(latent);
    const float* sigma = from.next(latent);
    const auto image =
        sampler->sampler->image_state({embedding, {c, e, e}}, {mu, {latent}}, {sigma, {latent}});
    from = {static_cast<const float*>(prompt_state)};
    const float* tokens = from.next(t * c);
    const float* dense = from.next(c * extent * extent);
    mu = from.next(latent);
    sigma = from.next(latent);
    const auto prompt = sampler->sampler->prompt_state(*image, {tokens, {t, c}}, {dense, {c, extent, extent}},
                                                       {mu, {latent}}, {sigma, {latent}});
    sampler->sampler->sample(*image, *prompt, {eps, {n, 2, latent}}, {logits, {n, 4 * e, 4 * e}},
                             {scores, {n}});
  });
}

}  // namespace

extern "C" __attribute__((visibility("default"))) int host_cuda_depth() {
  return depth.load();
}

extern "C" __attribute__((visibility("default"))) int64_t host_cuda_alive() {
  return alive.load();
}

// Work is done when it is enqueued, on whatever stream.
extern "C" __attribute__((visibility("default"))) void* host_stream_create() {
  static char stream;
  return &stream;
}

extern "C" __attribute__((visibility("default"))) void host_stream_wait(void*) {}

extern "C" const asam_cuda_api* asam_cuda_get_api(void) {
  static const asam_cuda_api api = [] {
    asam_cuda_api table{};
    table.abi = ASAM_CUDA_ABI;
    table.last_error = [] { return failure.c_str(); };
    table.sampler_create = create;
    table.sampler_retain = retain;
    table.sampler_release = release;
    table.sampler_sizes = sizes;
    table.sampler_image = image;
    table.sampler_prompt = prompt;
    table.sampler_run = run;
    return table;
  }();
  return &api;
}
