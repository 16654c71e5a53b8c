// Latents of a batch of hypotheses: z = mu + sigma eps.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/cuda_api.h"

namespace asam::cuda {

struct LatentArgs {
  std::int64_t n = 0;
  int latent = 0;  // L
  const float *mu_prompt = nullptr, *sigma_prompt = nullptr, *mu_image = nullptr,
              *sigma_image = nullptr;  // [L]
  const float* eps = nullptr;          // [n, 2, L], or null:
  const asam_cuda_rng* rng = nullptr;  // the numbers of philox.h; L is then a multiple of 4
  float* z = nullptr;                  // [2, n, L], prompt latents, then image latents
};

// Enqueues.
void sample_latents(const LatentArgs& args, cudaStream_t stream);

// Once a device, before the first call of it.
void prepare_latents();

}  // namespace asam::cuda
