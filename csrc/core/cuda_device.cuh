// What every kernel stands on: types of numbers, shared memory, sums over a warp, and the one way to launch.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>
#include <nvtx3/nvToolsExt.h>

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "core/cuda_status.cuh"

namespace asam::cuda {

using Bf16 = __nv_bfloat16;
using Fp16 = __half;

constexpr int kWarp = 32;
constexpr unsigned kWholeWarp = 0xffffffffu;

__host__ __device__ inline float to_float(float x) {
  return x;
}
__host__ __device__ inline float to_float(Bf16 x) {
  return __bfloat162float(x);
}
__host__ __device__ inline float to_float(Fp16 x) {
  return __half2float(x);
}

template <class Act>
__host__ __device__ inline Act from_float(float x) {
  if constexpr (std::is_same_v<Act, Bf16>) {
    return __float2bfloat16(x);
  } else if constexpr (std::is_same_v<Act, Fp16>) {
    return __float2half(x);
  } else {
    return x;
  }
}

// The block's dynamic shared memory.
template <class T>
__device__ inline T* shared_memory() {
  extern __shared__ __align__(16) unsigned char asam_shared[];
  return reinterpret_cast<T*>(asam_shared);
}

__device__ inline float warp_sum(float x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) x += __shfl_xor_sync(kWholeWarp, x, offset);
  return x;
}

__device__ inline float warp_max(float x) {
  for (int offset = kWarp / 2; offset > 0; offset /= 2) {
    x = fmaxf(x, __shfl_xor_sync(kWholeWarp, x, offset));
  }
  return x;
}

// A range that profilers show.
class Range {
 public:
  explicit Range(const char* name) { nvtxRangePushA(name); }
  ~Range() { nvtxRangePop(); }
  Range(const Range&) = delete;
  Range& operator=(const Range&) = delete;
};

// What a block may hold without being asked for; above it a kernel must have been allowed (load_kernel).
constexpr std::size_t kFreeShared = 48 * 1024;

// CUDA loads a kernel when it first hears of it, which a capture must not see: before the first launch, on
// each device.
template <class... Params>
void load_kernel(void (*kernel)(Params...)) {
  cudaFuncAttributes attributes{};
  check(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel)), "loading a kernel");
}

// The same for a kernel that may be launched with this much dynamic shared memory.
template <class... Params>
void load_kernel(void (*kernel)(Params...), std::size_t bytes) {
  load_kernel(kernel);
  if (bytes <= kFreeShared) return;
  check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel),
                             cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(bytes)),
        "asking for shared memory");
}

// The one launch of this project. An empty grid is none.
template <class... Params, class... Args>
void launch(const char* name, void (*kernel)(Params...), dim3 grid, int threads, std::size_t shared,
            cudaStream_t stream, Args... args) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
  const Range range(name);
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = dim3(static_cast<unsigned>(threads));
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  check(cudaLaunchKernelEx(&config, kernel, args...), name);
}

// Blocks for `count` things, `each` a block. Throws where the grid's first axis cannot hold them.
inline unsigned blocks_for(std::int64_t count, std::int64_t each) {
  const std::int64_t blocks = (count + each - 1) / each;
  if (blocks > INT32_MAX) throw std::invalid_argument("too much for one launch; ask for fewer hypotheses");
  return static_cast<unsigned>(blocks);
}

}  // namespace asam::cuda
