// The instructions that CUDA C++ has no name for. No other CUDA file holds assembly.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>

namespace asam::cuda {

// Four 8 x 8 matrices of 16-bit numbers from shared memory. Lane i names row i % 8 of matrix i / 8, 16 bytes;
// of matrix m every lane gets row lane / 4, columns 2 (lane % 4) and the next, in reg[m].
__device__ inline void load_matrices(std::uint32_t (&reg)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(reg[0]), "=r"(reg[1]), "=r"(reg[2]), "=r"(reg[3])
               : "r"(address)
               : "memory");
}

// The same with each matrix transposed on the way.
__device__ inline void load_matrices_transposed(std::uint32_t (&reg)[4], const void* row) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(row));
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(reg[0]), "=r"(reg[1]), "=r"(reg[2]), "=r"(reg[3])
               : "r"(address)
               : "memory");
}

// c += a b for a warp: a [16, 16] by rows, b [16, 8] by columns, c [16, 8]; with g = lane / 4, t = lane % 4:
//   a[0]: (g, 2t), (g, 2t + 1)   a[1]: rows + 8   a[2]: columns + 8   a[3]: both
//   b[0]: (2t, g), (2t + 1, g)   b[1]: rows + 8
//   c[0], c[1]: (g, 2t), (g, 2t + 1)              c[2], c[3]: rows + 8
template <class Act>
__device__ void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1);

template <>
__device__ inline void multiply_add<__nv_bfloat16>(float (&c)[4], const std::uint32_t (&a)[4],
                                                   std::uint32_t b0, std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

template <>
__device__ inline void multiply_add<__half>(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                                            std::uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 16 bytes from global to shared memory, both 16-byte aligned, without passing through registers. They are
// there once their group has been waited for.
__device__ inline void copy_async(void* shared, const void* global) {
  const auto address = static_cast<std::uint32_t>(__cvta_generic_to_shared(shared));
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" : : "r"(address), "l"(global) : "memory");
}

// Closes this thread's group of copies.
__device__ inline void copy_commit() {
  asm volatile("cp.async.commit_group;" : : : "memory");
}

// Waits until at most `Pending` of this thread's groups are under way.
template <int Pending>
__device__ inline void copy_wait() {
  asm volatile("cp.async.wait_group %0;" : : "n"(Pending) : "memory");
}

}  // namespace asam::cuda
