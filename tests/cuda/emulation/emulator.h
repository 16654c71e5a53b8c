// The part of CUDA C++ that kernels in csrc/ use, for the CPU: a block's threads are fibers that run one
// after the other up to the next barrier, in an order that ASAM_EMULATION_ORDER sets ("forward", "reverse" or
// "shuffled"; what depends on it was not synchronised). Shared memory begins as NaN.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cuda_runtime_api.h"

#define __global__
#define __device__
#define __host__
#define __shared__
#define __align__(bytes) __attribute__((aligned(bytes)))
#define __launch_bounds__(threads)

struct uint3 {
  unsigned x, y, z;
};
struct alignas(8) float2 {
  float x, y;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};

// Of the thread that runs.
extern uint3 threadIdx, blockIdx;
extern dim3 blockDim, gridDim;

namespace emulator {

void block_barrier();
void warp_barrier();

// What each lane of the warp gave, once all have given: valid until the lane's next call of this.
struct Shared {
  alignas(16) unsigned char bytes[64];
};
const Shared* exchange(const void* mine, std::size_t size);  // at most 64 bytes
int lane();

// Of this thread: copies to be made when their group is waited for.
void copy_later(void* to, const void* from);
void close_group();
void wait_for_groups(int pending);

}  // namespace emulator

inline void __syncthreads() {
  emulator::block_barrier();
}
inline void __syncwarp() {
  emulator::warp_barrier();
}

inline float __shfl_xor_sync(unsigned, float x, int offset) {
  float out;
  const emulator::Shared* all = emulator::exchange(&x, sizeof(x));
  std::memcpy(&out, all[emulator::lane() ^ offset].bytes, sizeof(out));
  return out;
}

inline unsigned __ballot_sync(unsigned, bool hit) {
  const emulator::Shared* all = emulator::exchange(&hit, sizeof(hit));
  unsigned out = 0;
  for (int i = 0; i < 32; ++i) out |= static_cast<unsigned>(all[i].bytes[0] != 0) << i;
  return out;
}

inline int __popc(unsigned x) {
  return __builtin_popcount(x);
}

inline unsigned long long atomicAdd(unsigned long long* to, unsigned long long x) {
  const unsigned long long before = *to;
  *to = before + x;
  return before;
}

inline int min(int a, int b) {
  return std::min(a, b);
}
