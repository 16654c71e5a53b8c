#include "tensorrt/device_sampler.h"

#include <vector>

#include "core/cuda_loader.h"
#include "core/errors.h"

namespace asam::tensorrt {
namespace {

uint64_t aligned(uint64_t bytes) {
  constexpr uint64_t kAlignment = 256;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

DeviceSampler::~DeviceSampler() {
  if (asam_cuda_sampler* sampler = sampler_.load()) api_.load()->sampler_release(sampler);
}

void DeviceSampler::load() {
  const std::lock_guard lock(mutex_);
  if (sampler_.load() != nullptr) return;
  const asam_cuda_api& api = cuda_api();
  std::vector<std::vector<int64_t>> shapes;
  shapes.reserve(fields_.weights.size());  // the tensors point into it
  std::vector<asam_cuda_tensor> tensors;
  for (const Weight& weight : fields_.weights) {
    shapes.emplace_back(weight.shape.begin(), weight.shape.end());
    tensors.push_back({weight.name.c_str(), weight.data.data(), shapes.back().data(),
                       static_cast<int64_t>(shapes.back().size())});
  }
  asam_cuda_sampler* sampler = nullptr;
  cuda_check(api, api.sampler_create(&fields_.config, tensors.data(), static_cast<int64_t>(tensors.size()),
                                     fields_.precision, &sampler));
  api_.store(&api);  // before the sampler, whose presence says that both are there
  sampler_.store(sampler);
}

void DeviceSampler::grant(uint64_t bytes) {
  uint64_t current = granted_.load();
  while (current < bytes && !granted_.compare_exchange_weak(current, bytes)) {
  }
}

const asam_cuda_api& DeviceSampler::api() const {
  get();
  return *api_.load();
}

const asam_cuda_sampler* DeviceSampler::get() const {
  const asam_cuda_sampler* sampler = sampler_.load();
  if (sampler == nullptr) throw std::runtime_error("the weights are on no GPU yet");
  return sampler;
}

Layout DeviceSampler::layout(const Shape& shape) const {
  asam_cuda_sizes sizes{};
  cuda_check(api(), api().sampler_sizes(get(), shape.n, shape.t, shape.map ? 1 : 0, &sizes));
  Layout out;
  out.prompt_state = aligned(sizes.image_state);
  out.workspace = out.prompt_state + aligned(sizes.prompt_state);
  out.total = out.workspace + aligned(sizes.workspace);
  return out;
}

}  // namespace asam::tensorrt
