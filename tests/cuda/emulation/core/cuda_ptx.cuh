// csrc/core/cuda_ptx.cuh for the CPU; found before it on the include path.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstdint>
#include <cstring>

#include "emulator.h"

namespace asam::cuda {

inline const std::uint16_t* row_of(const emulator::Shared* lanes, int lane) {
  const std::uint16_t* row;
  std::memcpy(&row, lanes[lane].bytes, sizeof(row));
  return row;
}

inline void load_matrices(std::uint32_t (&reg)[4], const void* row) {
  const emulator::Shared* lanes = emulator::exchange(&row, sizeof(row));
  const int group = emulator::lane() / 4, column = emulator::lane() % 4 * 2;
  for (int m = 0; m < 4; ++m) std::memcpy(&reg[m], row_of(lanes, 8 * m + group) + column, sizeof(reg[m]));
}

inline void load_matrices_transposed(std::uint32_t (&reg)[4], const void* row) {
  const emulator::Shared* lanes = emulator::exchange(&row, sizeof(row));
  const int group = emulator::lane() / 4, column = emulator::lane() % 4 * 2;
  for (int m = 0; m < 4; ++m) {
    const std::uint32_t low = row_of(lanes, 8 * m + column)[group];
    const std::uint32_t high = row_of(lanes, 8 * m + column + 1)[group];
    reg[m] = low | high << 16;
  }
}

inline float as_float(std::uint32_t bits, __nv_bfloat16) {
  return __bfloat162float({static_cast<std::uint16_t>(bits)});
}
inline float as_float(std::uint32_t bits, __half) {
  return __half2float({static_cast<std::uint16_t>(bits)});
}

// Products are exact; their sum is rounded once.
template <class Act>
void multiply_add(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0, std::uint32_t b1) {
  struct Fragments {
    float a[4][2], b[2][2];
  } mine;
  for (int half = 0; half < 2; ++half) {
    for (int i = 0; i < 4; ++i) mine.a[i][half] = as_float(a[i] >> 16 * half, Act{});
    mine.b[0][half] = as_float(b0 >> 16 * half, Act{});
    mine.b[1][half] = as_float(b1 >> 16 * half, Act{});
  }
  const emulator::Shared* lanes = emulator::exchange(&mine, sizeof(mine));
  const auto of = [&](int lane) { return reinterpret_cast<const Fragments*>(lanes[lane].bytes); };
  const int group = emulator::lane() / 4, t = emulator::lane() % 4;
  for (int i = 0; i < 4; ++i) {
    const int column = 2 * t + i % 2, below = i / 2;
    double sum = c[i];
    for (int pair = 0; pair < 4; ++pair) {
      const Fragments *left = of(group * 4 + pair), *right = of(column * 4 + pair);
      for (int k = 0; k < 4; ++k) {  // columns 2 pair, 2 pair + 1, and both + 8
        sum += static_cast<double>(left->a[below + k / 2 * 2][k % 2]) * right->b[k / 2][k % 2];
      }
    }
    c[i] = static_cast<float>(sum);
  }
}

inline void copy_async(void* shared, const void* global) {
  emulator::copy_later(shared, global);
}
inline void copy_commit() {
  emulator::close_group();
}
template <int Pending>
void copy_wait() {
  emulator::wait_for_groups(Pending);
}

}  // namespace asam::cuda
