// The normal numbers of philox.h, for kernels.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "core/cuda_api.h"
#include "core/philox.h"

namespace asam::cuda {

// The functions are evaluated in double and rounded: float32 results as exact as the CPU's, where the GPU's
// own float32 sine and logarithm may be two units off. A latent has too few elements for this to cost time.
__device__ inline float2 box_muller(std::uint32_t x0, std::uint32_t x1) {
  const float log_u = static_cast<float>(log(static_cast<double>(philox_radius_uniform(x0))));
  const float radius = sqrtf(-2.0f * log_u);
  double sine, cosine;
  sincos(static_cast<double>(philox_angle(x1)), &sine, &cosine);
  return {radius * static_cast<float>(cosine), radius * static_cast<float>(sine)};
}

// Elements 4 block .. 4 block + 3 of one latent of hypothesis rng.start + s.
__device__ inline float4 normal_block(const asam_cuda_rng& rng, std::int64_t s, std::int64_t block,
                                      std::uint32_t stream) {
  const PhiloxWords words =
      philox_block(rng.seed, static_cast<std::uint32_t>(rng.start + static_cast<std::uint64_t>(s)),
                   static_cast<std::uint32_t>(block), stream);
  const float2 left = box_muller(words.x[0], words.x[1]);
  const float2 right = box_muller(words.x[2], words.x[3]);
  return {left.x, left.y, right.x, right.y};
}

}  // namespace asam::cuda
