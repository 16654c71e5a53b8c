// float32 numbers as Act.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace asam::cuda {

// inputs: x [n]; outputs: y [n]. Enqueues.
template <class Act>
void round_to(const float* x, std::int64_t n, Act* y, cudaStream_t stream);

// Once a device, before the first call of it.
template <class Act>
void prepare_round();

}  // namespace asam::cuda
