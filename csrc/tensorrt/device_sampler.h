// The CUDA sampler behind a plugin: made once from its fields, shared by all clones.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>

#include "core/cuda_api.h"
#include "tensorrt/fields.h"

namespace asam::tensorrt {

// One execution: n hypotheses, t prompt tokens, and whether the dense embedding is a map.
struct Shape {
  int64_t n = 0;
  int64_t t = 0;
  bool map = false;
};

// The parts of TensorRT's workspace, in bytes from its start; each starts at a multiple of 256.
struct Layout {
  uint64_t prompt_state = 0;
  uint64_t workspace = 0;
  uint64_t total = 0;
};

class DeviceSampler {
 public:
  explicit DeviceSampler(SamplerFields fields) : fields_(std::move(fields)), granted_(fields_.workspace) {}
  ~DeviceSampler();
  DeviceSampler(const DeviceSampler&) = delete;
  DeviceSampler& operator=(const DeviceSampler&) = delete;

  const SamplerFields& fields() const { return fields_; }

  // Puts the weights on the current device unless they are on one already. Throws BackendUnavailable without
  // the CUDA library or a GPU, std::invalid_argument for weights that are no sampler.
  void load();
  // Bytes of workspace that TensorRT is asked for, or was when it built the plan. Clones share it: TensorRT
  // may configure one and serialise another.
  uint64_t granted() const { return granted_.load(); }
  void grant(uint64_t bytes);

  // These throw std::runtime_error before load(), and allocate nothing after it.
  Layout layout(const Shape& shape) const;
  const asam_cuda_api& api() const;
  const asam_cuda_sampler* get() const;

 private:
  SamplerFields fields_;
  std::mutex mutex_;
  std::atomic<const asam_cuda_api*> api_ = nullptr;  // found once: looking for it allocates
  std::atomic<asam_cuda_sampler*> sampler_ = nullptr;
  std::atomic<uint64_t> granted_;
};

}  // namespace asam::tensorrt
