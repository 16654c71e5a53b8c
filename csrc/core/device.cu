// What GPUs are here, and their memory.
#include <algorithm>
#include <cstring>

#include "core/cuda_internal.h"
#include "core/cuda_status.cuh"

namespace asam::cuda {

int versions(int32_t* runtime, int32_t* driver) noexcept {
  return boundary([&] {
    int value = 0;
    check(cudaRuntimeGetVersion(&value), "asking for the CUDA runtime's version");
    *runtime = value;
    check(cudaDriverGetVersion(&value), "asking for the CUDA driver's version");
    *driver = value;
  });
}

int device_count(int32_t* count) noexcept {
  return boundary([&] {
    int value = 0;
    check(cudaGetDeviceCount(&value), "counting CUDA devices");
    *count = value;
  });
}

int device(int32_t index, asam_cuda_device* out) noexcept {
  return boundary([&] {
    cudaDeviceProp found{};
    check(cudaGetDeviceProperties(&found, index), "asking for a device's properties");
    *out = {};
    std::memcpy(out->name, found.name, std::min(sizeof(out->name), sizeof(found.name)));
    out->name[sizeof(out->name) - 1] = '\0';
    out->major = found.major;
    out->minor = found.minor;
    out->multiprocessors = found.multiProcessorCount;
    out->memory_bytes = found.totalGlobalMem;
  });
}

void release(void* d_memory) noexcept {
  cudaFree(d_memory);
}

int copy(void* to, const void* from, uint64_t bytes) noexcept {
  return boundary([&] {
    const Stream stream;
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream.get()), "copying");
    stream.wait();
  });
}

}  // namespace asam::cuda
