#include "ops/round.cuh"

#include "core/cuda_device.cuh"

namespace asam::cuda {
namespace {

constexpr int kThreads = 256;

template <class Act>
__global__ void round_kernel(const float* __restrict__ x, std::int64_t n, Act* __restrict__ y) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) y[i] = from_float<Act>(x[i]);
}

}  // namespace

template <class Act>
void round_to(const float* x, std::int64_t n, Act* y, cudaStream_t stream) {
  launch("asam.round", round_kernel<Act>, dim3(blocks_for(n, kThreads)), kThreads, 0, stream, x, n, y);
}

template <class Act>
void prepare_round() {
  load_kernel(round_kernel<Act>);
}

template void prepare_round<Bf16>();
template void prepare_round<Fp16>();
template void round_to(const float*, std::int64_t, Bf16*, cudaStream_t);
template void round_to(const float*, std::int64_t, Fp16*, cudaStream_t);

}  // namespace asam::cuda
