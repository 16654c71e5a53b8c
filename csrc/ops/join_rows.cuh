// Rows that are the same for all hypotheses, followed by each hypothesis' own.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace asam::cuda {

// inputs
//   shared  [shared_rows, width]
//   own     [n, own_rows, width]
// outputs
//   out     [n, shared_rows + own_rows, width]
// Enqueues.
void join_rows(const float* shared, std::int64_t shared_rows, const float* own, std::int64_t own_rows,
               std::int64_t n, std::int64_t width, float* out, cudaStream_t stream);

// Once a device, before the first call of it.
void prepare_join_rows();

}  // namespace asam::cuda
