// Sessions: states in pooled device memory, and one captured graph a (prompt shape, n).
#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <tuple>
#include <utility>
#include <vector>

#include "core/cuda_device.cuh"
#include "core/cuda_internal.h"
#include "core/errors.h"
#include "core/philox.h"
#include "ops/resize_masks.cuh"
#include "sampler/cuda_graph.cuh"
#include "sampler/cuda_memory.cuh"
#include "sampler/cuda_sampler.cuh"

namespace asam::cuda {
namespace {

using Memory = DeviceArray<std::byte>;

// States come and go with every frame, and cudaFree waits for the whole device: their memory is kept.
class StatePool {
 public:
  // New memory is cleared on the stream: states are copied whole, with what lies between their fields.
  std::unique_ptr<Memory> take(std::size_t bytes, cudaStream_t stream) {
    {
      const std::lock_guard lock(mutex_);
      const auto fits = std::find_if(idle_.begin(), idle_.end(),
                                     [&](const auto& memory) { return memory->count() == bytes; });
      if (fits != idle_.end()) {
        std::unique_ptr<Memory> memory = std::move(*fits);
        idle_.erase(fits);
        return memory;
      }
    }
    auto made = std::make_unique<Memory>(bytes);
    check(cudaMemsetAsync(made->data(), 0, bytes, stream), "clearing a state");
    return made;
  }

  void give_back(std::unique_ptr<Memory> memory) {
    constexpr std::size_t kKept = 8;
    const std::lock_guard lock(mutex_);
    if (idle_.size() == kKept) idle_.erase(idle_.begin());
    idle_.push_back(std::move(memory));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<Memory>> idle_;
};

// Calls come from any thread, and a new thread's device is the first one.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    check(cudaGetDevice(&before_), "asking for the current device");
    check(cudaSetDevice(device), "choosing a device");
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

std::uint64_t next_id() {
  static std::atomic<std::uint64_t> last{0};
  return ++last;
}

// Between host and device memory, whichever each is.
template <class T>
void enqueue_copy(T* to, const T* from, std::int64_t count, cudaStream_t stream) {
  if (count == 0) return;
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(T), cudaMemcpyDefault, stream),
        "copying");
}

}  // namespace
}  // namespace asam::cuda

struct asam_cuda_state {
  ~asam_cuda_state() {
    if (memory != nullptr) pool->give_back(std::move(memory));
  }

  std::uint64_t owner = 0;  // id of the session
  bool of_image = false;
  std::int64_t tokens = 0;
  bool map = false;
  std::uint64_t id = 0;
  std::shared_ptr<asam::cuda::StatePool> pool;
  std::unique_ptr<asam::cuda::Memory> memory;
};

namespace asam::cuda {
namespace {

// What one (prompt shape, n) needs to run again and again: memory at fixed addresses, and the graph over it.
struct Plan {
  struct Key {
    std::int64_t n, t;
    bool map, seeded;
    bool operator==(const Key&) const = default;
  };

  Plan(const asam_cuda_sampler& sampler, const Key& wanted, const asam_cuda_sizes& sizes)
      : key(wanted),
        memory(lay_out(sampler, sizes, nullptr)),
        noise_count(wanted.n * kStreams * sampler.config.latent) {
    lay_out(sampler, sizes, memory.data());
  }

  Key key;
  Memory memory;
  std::int64_t noise_count;
  std::byte *prompt = nullptr, *workspace = nullptr;
  asam_cuda_rng* rng = nullptr;
  float *eps = nullptr, *logits = nullptr, *scores = nullptr;
  std::uint64_t prompt_id = 0;  // the state that `prompt` holds a copy of
  std::optional<Graph> graph;

 private:
  std::size_t lay_out(const asam_cuda_sampler& sampler, const asam_cuda_sizes& sizes, void* base) {
    Arena arena(base);
    prompt = arena.take<std::byte>(static_cast<std::int64_t>(sizes.prompt_state));
    workspace = arena.take<std::byte>(static_cast<std::int64_t>(sizes.workspace));
    rng = arena.take<asam_cuda_rng>(1);
    eps = arena.take<float>(key.seeded ? 0 : key.n * kStreams * sampler.config.latent);
    logits = arena.take<float>(key.n * sampler.config.masks() * sampler.config.logits_size());
    scores = arena.take<float>(key.n * sampler.config.masks());
    return arena.used();
  }
};

constexpr std::size_t kMostPlans = 8;

int current_device() {
  int device = 0;
  check(cudaGetDevice(&device), "asking for the current device");
  return device;
}

}  // namespace
}  // namespace asam::cuda

struct asam_cuda_session {
  explicit asam_cuda_session(asam_cuda_sampler* of)
      : device(asam::cuda::current_device()),
        sampler(of),
        image_slot(of->sizes(0, 0, false).image_state),
        images(of->config.channels * of->config.cells() + 2 * of->config.latent) {}

  using State = asam_cuda_state;

  std::unique_ptr<State> make_state(bool of_image, std::int64_t t, bool map, std::size_t bytes,
                                    cudaStream_t stream) {
    auto state = std::make_unique<State>();
    state->owner = id;
    state->of_image = of_image;
    state->tokens = t;
    state->map = map;
    state->id = asam::cuda::next_id();
    state->pool = states;
    state->memory = states->take(bytes, stream);
    return state;
  }

  std::unique_ptr<State> image(const float* embedding, const float* mu, const float* sigma) {
    const std::int64_t size = sampler->config.channels * sampler->config.cells(),
                       latent = sampler->config.latent;
    auto state = make_state(true, 0, false, sampler->sizes(0, 0, false).image_state, encoding.get());
    float* d_mu = images.data() + size;
    asam::cuda::enqueue_copy(images.data(), embedding, size, encoding.get());
    asam::cuda::enqueue_copy(d_mu, mu, latent, encoding.get());
    asam::cuda::enqueue_copy(d_mu + latent, sigma, latent, encoding.get());
    sampler->image(images.data(), d_mu, d_mu + latent, state->memory->data(), encoding.get());
    encoding.wait();
    return state;
  }

  std::unique_ptr<State> prompt(const float* tokens, std::int64_t t, const float* dense, bool map,
                                const float* mu, const float* sigma) {
    const auto& config = sampler->config;
    const std::int64_t c = config.channels, dense_size = map ? c * config.cells() : c;
    const asam_cuda_sizes sizes = sampler->sizes(0, t, map);
    auto state = make_state(false, t, map, sizes.prompt_state, sampling.get());
    asam::cuda::Arena count(nullptr);
    const auto lay_out = [&](asam::cuda::Arena& arena) {
      return std::array{
          arena.take<float>(t * c), arena.take<float>(dense_size), arena.take<float>(config.latent),
          arena.take<float>(config.latent),
          reinterpret_cast<float*>(arena.take<std::byte>(static_cast<std::int64_t>(sizes.workspace)))};
    };
    lay_out(count);
    asam::cuda::Arena arena(room(count.used()));
    const auto [d_tokens, d_dense, d_mu, d_sigma, workspace] = lay_out(arena);
    asam::cuda::enqueue_copy(d_tokens, tokens, t * c, sampling.get());
    asam::cuda::enqueue_copy(d_dense, dense, dense_size, sampling.get());
    asam::cuda::enqueue_copy(d_mu, mu, config.latent, sampling.get());
    asam::cuda::enqueue_copy(d_sigma, sigma, config.latent, sampling.get());
    sampler->prompt(d_tokens, t, d_dense, map, d_mu, d_sigma, state->memory->data(), workspace,
                    sampling.get());
    sampling.wait();
    return state;
  }

  void sample(const State& of_image, const State& of_prompt, std::int64_t n, const float* eps,
              const asam_cuda_rng* rng, float* logits, float* scores) {
    asam::require(of_image.owner == id && of_image.of_image,
                  "image_state: expected one of this sampler, got one of another");
    asam::require(of_prompt.owner == id && !of_prompt.of_image,
                  "prompt_state: expected one of this sampler, got one of another");
    asam::require((eps == nullptr) != (rng == nullptr), "expected eps or rng, came ",
                  eps ? "both" : "neither");
    asam::require(n >= 1, "expected at least one hypothesis, came ", n);
    asam::cuda::Plan& plan = plan_for({n, of_prompt.tokens, of_prompt.map, rng != nullptr});
    const cudaStream_t stream = sampling.get();
    if (image_slot_id != of_image.id) {
      image_slot_id = 0;  // should a copy fail
      asam::cuda::enqueue_copy(image_slot.data(), of_image.memory->data(), bytes_of(*of_image.memory),
                               stream);
      image_slot_id = of_image.id;
    }
    if (plan.prompt_id != of_prompt.id) {
      plan.prompt_id = 0;
      asam::cuda::enqueue_copy(plan.prompt, of_prompt.memory->data(), bytes_of(*of_prompt.memory), stream);
      plan.prompt_id = of_prompt.id;
    }
    if (rng != nullptr) {
      asam::cuda::enqueue_copy(plan.rng, rng, 1, stream);
    } else {
      asam::cuda::enqueue_copy(plan.eps, eps, plan.noise_count, stream);
    }
    if (!plan.graph) capture(plan);
    plan.graph->launch(stream);
    const std::int64_t masks = n * sampler->config.masks();
    asam::cuda::enqueue_copy(logits, plan.logits, masks * sampler->config.logits_size(), stream);
    asam::cuda::enqueue_copy(scores, plan.scores, masks, stream);
    sampling.wait();
  }

  void statistics(const float* logits, std::int64_t n, const asam_cuda_geometry& geometry, float threshold,
                  std::int32_t* counts, std::int64_t* areas, std::uint64_t* packed) {
    const std::size_t taps = asam::cuda::statistics_room(geometry);
    const std::int64_t pixels = geometry.out_h * geometry.out_w, words = (pixels + 63) / 64;
    asam::cuda::Arena count(nullptr);
    const auto lay_out = [&](asam::cuda::Arena& arena) {
      return std::tuple{arena.take<float>(n * geometry.low * geometry.low), arena.take<std::int32_t>(pixels),
                        arena.take<std::int64_t>(n),
                        arena.take<std::uint64_t>(packed != nullptr ? n * words : 0),
                        arena.take<std::byte>(static_cast<std::int64_t>(taps))};
    };
    lay_out(count);
    asam::cuda::Arena arena(room(count.used()));
    const auto [d_logits, d_counts, d_areas, d_packed, workspace] = lay_out(arena);
    const cudaStream_t stream = sampling.get();
    asam::cuda::enqueue_copy(d_logits, logits, n * geometry.low * geometry.low, stream);
    asam::cuda::mask_statistics(d_logits, n, geometry, threshold, counts != nullptr ? d_counts : nullptr,
                                areas != nullptr ? d_areas : nullptr, packed != nullptr ? d_packed : nullptr,
                                workspace, stream);
    if (counts != nullptr) asam::cuda::enqueue_copy(counts, d_counts, pixels, stream);
    if (areas != nullptr) asam::cuda::enqueue_copy(areas, d_areas, n, stream);
    if (packed != nullptr) asam::cuda::enqueue_copy(packed, d_packed, n * words, stream);
    sampling.wait();
  }

  const std::uint64_t id = asam::cuda::next_id();
  const int device;
  std::int64_t captured = 0;

 private:
  static std::int64_t bytes_of(const asam::cuda::Memory& memory) {
    return static_cast<std::int64_t>(memory.count());
  }

  // Scratch of prompt and statistics, kept; their work is waited for before it is used again.
  std::byte* room(std::size_t bytes) {
    if (!scratch || scratch->count() < bytes) {
      scratch.reset();
      scratch.emplace(bytes);
    }
    return scratch->data();
  }

  asam::cuda::Plan& plan_for(const asam::cuda::Plan::Key& key) {
    const auto found =
        std::find_if(plans.begin(), plans.end(), [&](const auto& plan) { return plan.key == key; });
    if (found != plans.end()) {
      plans.splice(plans.begin(), plans, found);
    } else {
      if (plans.size() == asam::cuda::kMostPlans) plans.pop_back();
      plans.emplace_front(*sampler.get(), key, sampler->sizes(key.n, key.t, key.map));
    }
    return plans.front();
  }

  void capture(asam::cuda::Plan& plan) {
    const auto enqueue = [&] {
      sampler->run(image_slot.data(), plan.prompt, plan.key.t, plan.key.map, plan.key.n,
                   plan.key.seeded ? nullptr : plan.eps, plan.key.seeded ? plan.rng : nullptr, plan.logits,
                   plan.scores, plan.workspace, sampling.get());
    };
    enqueue();  // kernels are loaded at their first launch, which a capture must not see
    sampling.wait();
    plan.graph.emplace(sampling.get(), enqueue);
    ++captured;
  }

  asam::cuda::SamplerReference sampler;
  asam::cuda::Stream encoding, sampling;
  std::shared_ptr<asam::cuda::StatePool> states = std::make_shared<asam::cuda::StatePool>();
  asam::cuda::Memory image_slot;  // where graphs read the image state
  std::uint64_t image_slot_id = 0;
  asam::cuda::DeviceArray<float> images;  // what an image state is made of
  std::optional<asam::cuda::Memory> scratch;
  std::list<asam::cuda::Plan> plans;  // the last one used first
};

namespace asam::cuda {

int session_create(asam_cuda_sampler* sampler, asam_cuda_session** out) noexcept {
  return boundary([&] {
    require(sampler != nullptr && out != nullptr, "expected a sampler, got null");
    *out = new asam_cuda_session(sampler);
  });
}

void session_destroy(asam_cuda_session* session) noexcept {
  delete session;
}

int session_wait(asam_cuda_session* session, void* stream) noexcept {
  return boundary([&] {
    const OnDevice device(session->device);
    check(cudaStreamSynchronize(static_cast<cudaStream_t>(stream)), "waiting for an argument's stream");
  });
}

int session_image(asam_cuda_session* session, const float* embedding, const float* mu, const float* sigma,
                  asam_cuda_state** out) noexcept {
  return boundary([&] {
    const OnDevice device(session->device);
    *out = session->image(embedding, mu, sigma).release();
  });
}

int session_prompt(asam_cuda_session* session, const float* tokens, int64_t t, const float* dense,
                   int32_t dense_is_map, const float* mu, const float* sigma,
                   asam_cuda_state** out) noexcept {
  return boundary([&] {
    const OnDevice device(session->device);
    *out = session->prompt(tokens, t, dense, dense_is_map != 0, mu, sigma).release();
  });
}

void state_release(asam_cuda_state* state) noexcept {
  delete state;
}

int session_sample(asam_cuda_session* session, const asam_cuda_state* image, const asam_cuda_state* prompt,
                   int64_t n, const float* eps, const asam_cuda_rng* rng, float* logits,
                   float* scores) noexcept {
  return boundary([&] {
    const OnDevice device(session->device);
    session->sample(*image, *prompt, n, eps, rng, logits, scores);
  });
}

int session_statistics(asam_cuda_session* session, const float* logits, int64_t n,
                       const asam_cuda_geometry* geometry, float threshold, int32_t* counts, int64_t* areas,
                       uint64_t* packed) noexcept {
  return boundary([&] {
    const OnDevice device(session->device);
    session->statistics(logits, n, *geometry, threshold, counts, areas, packed);
  });
}

int session_graphs(const asam_cuda_session* session, int64_t* captured) noexcept {
  return boundary([&] { *captured = session->captured; });
}

int session_device(const asam_cuda_session* session, int32_t* index) noexcept {
  return boundary([&] { *index = session->device; });
}

int session_allocate(const asam_cuda_session* session, uint64_t bytes, void** d_out) noexcept {
  return boundary([&] {
    const OnDevice device(session->device);
    check(cudaMalloc(d_out, bytes), "allocating device memory");
  });
}

}  // namespace asam::cuda
