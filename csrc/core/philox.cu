// The normal numbers of philox.h on the GPU.
#include "core/philox.cuh"

#include <cstdint>
#include <stdexcept>

#include "core/cuda_device.cuh"
#include "core/cuda_internal.h"

namespace asam::cuda {
namespace {

constexpr int kThreadsPerBlock = 256;

// inputs:  rng, in device memory
// outputs: out [n, 2, dim], as blocks of four elements; one thread a block
__global__ void normal_kernel(const asam_cuda_rng* __restrict__ rng, std::int64_t blocks, std::int64_t dim4,
                              float4* __restrict__ out) {
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= blocks) return;
  const std::int64_t row = index / dim4;
  out[index] = normal_block(*rng, row / kStreams, index % dim4, static_cast<std::uint32_t>(row % kStreams));
}

void launch_normal(const asam_cuda_rng* d_rng, std::int64_t n, std::int64_t dim, float* d_out,
                   cudaStream_t stream) {
  if (n < 0 || dim <= 0 || dim % 4 != 0) {
    throw std::invalid_argument("expected n >= 0 and dim a positive multiple of 4");
  }
  if (reinterpret_cast<std::uintptr_t>(d_out) % alignof(float4) != 0) {
    throw std::invalid_argument("d_out: expected 16-byte alignment");
  }
  const std::int64_t blocks = n * kStreams * (dim / 4);
  launch("asam.normal", normal_kernel, dim3(blocks_for(blocks, kThreadsPerBlock)), kThreadsPerBlock, 0,
         stream, d_rng, blocks, dim / 4, reinterpret_cast<float4*>(d_out));
}

}  // namespace

int normal_to_host(uint64_t seed, int64_t n, int64_t dim, int64_t start, float* out) noexcept {
  return boundary([&] {
    const Stream stream;
    const asam_cuda_rng rng{seed, static_cast<std::uint64_t>(start)};
    const DeviceArray<asam_cuda_rng> d_rng(1);
    const std::size_t count = static_cast<std::size_t>(n * kStreams * dim);
    const DeviceArray<float> d_out(count);
    check(cudaMemcpyAsync(d_rng.data(), &rng, sizeof(rng), cudaMemcpyHostToDevice, stream.get()),
          "copying in");
    launch_normal(d_rng.data(), n, dim, d_out.data(), stream.get());
    check(cudaMemcpyAsync(out, d_out.data(), count * sizeof(float), cudaMemcpyDeviceToHost, stream.get()),
          "copying out");
    stream.wait();
  });
}

}  // namespace asam::cuda
