// torch.nn.GELU on the GPU: x Phi(x), exact.
#pragma once

#include <cuda_runtime.h>

namespace asam::cuda {

__device__ inline float gelu(float x) {
  return 0.5f * x * (1.0f + erff(x * 0.70710678118654752440f));
}

}  // namespace asam::cuda
