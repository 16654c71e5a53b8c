// The object behind asam_cuda_sampler: weights of one precision, and what cuda_api.h does with them.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/cuda_api.h"
#include "core/named_tensors.h"
#include "sampler/config.h"

struct asam_cuda_sampler {
  virtual ~asam_cuda_sampler() = default;

  virtual asam_cuda_sizes sizes(std::int64_t n, std::int64_t t, bool map) const = 0;
  virtual void image(const float* embedding, const float* mu, const float* sigma, void* state,
                     void* stream) const = 0;
  virtual void prompt(const float* tokens, std::int64_t t, const float* dense, bool map, const float* mu,
                      const float* sigma, void* state, void* workspace, void* stream) const = 0;
  virtual void run(const void* image, const void* prompt, std::int64_t t, bool map, std::int64_t n,
                   const float* eps, const asam_cuda_rng* rng, float* logits, float* scores, void* workspace,
                   void* stream) const = 0;

  asam::SamplerConfig config;
  std::atomic<std::int64_t> references{1};
};

namespace asam::cuda {

// A reference that is given back.
class SamplerReference {
 public:
  explicit SamplerReference(asam_cuda_sampler* sampler) : sampler_(sampler) { ++sampler_->references; }
  ~SamplerReference() { release(sampler_); }
  SamplerReference(const SamplerReference&) = delete;
  SamplerReference& operator=(const SamplerReference&) = delete;
  const asam_cuda_sampler* operator->() const { return sampler_; }
  const asam_cuda_sampler* get() const { return sampler_; }

  static void release(asam_cuda_sampler* sampler) {
    if (sampler != nullptr && --sampler->references == 0) delete sampler;
  }

 private:
  asam_cuda_sampler* sampler_;
};

}  // namespace asam::cuda
