#include "ops/join_rows.cuh"

#include "core/cuda_device.cuh"

namespace asam::cuda {
namespace {

constexpr int kThreads = 256;

// A thread copies one number; sizes are in numbers.
__global__ void join_rows_kernel(const float* __restrict__ shared, std::int64_t shared_size,
                                 const float* __restrict__ own, std::int64_t own_size, std::int64_t total,
                                 float* __restrict__ out) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= total) return;
  const std::int64_t s = i / (shared_size + own_size), at = i % (shared_size + own_size);
  out[i] = at < shared_size ? shared[at] : own[s * own_size + at - shared_size];
}

}  // namespace

void prepare_join_rows() {
  load_kernel(join_rows_kernel);
}

void join_rows(const float* shared, std::int64_t shared_rows, const float* own, std::int64_t own_rows,
               std::int64_t n, std::int64_t width, float* out, cudaStream_t stream) {
  const std::int64_t total = n * (shared_rows + own_rows) * width;
  launch("asam.join_rows", join_rows_kernel, dim3(blocks_for(total, kThreads)), kThreads, 0, stream, shared,
         shared_rows * width, own, own_rows * width, total, out);
}

}  // namespace asam::cuda
