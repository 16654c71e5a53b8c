// The kernel of ops/matmul.cuh, included by one source file a type.
#pragma once

#include <algorithm>

#include "core/cuda_device.cuh"
#include "core/cuda_ptx.cuh"
#include "ops/gelu.cuh"
#include "ops/matmul.cuh"

namespace asam::cuda {

// What a block computes: warps side by side, each 32 rows by 8 Fragments columns.
template <class Type, int WarpRows, int WarpColumns, int Fragments>
struct Tile {
  using Act = Type;
  static constexpr int kFragments = Fragments;
  static constexpr int kWarpColumns = WarpColumns;
  static constexpr int kThreads = kWarp * WarpRows * WarpColumns;
  static constexpr int kRows = 32 * WarpRows, kColumns = 8 * Fragments * WarpColumns;
  static constexpr int kStep = 32;  // of the inner dimension, a stage
  static constexpr int kStages = sizeof(Act) == 2 ? 4 : 2;
  static constexpr int kChunk = 16 / sizeof(Act);  // elements of a 16-byte copy

  // A chunk of padding a row moves neighbouring rows to other banks.
  static constexpr int kAStride = kStep + kChunk, kWStride = kColumns + kChunk;
  static constexpr int kASize = kRows * kAStride, kStageSize = kASize + kStep * kWStride;
  static constexpr int kResultStride = kColumns + 4;
  static constexpr std::size_t kShared =
      std::max(sizeof(Act) * kStages * kStageSize, sizeof(float) * kRows * kResultStride);
};

// `Chunk` elements from global to shared memory, zeros from `valid` on.
template <class Act, int Chunk>
__device__ inline void load_chunk(Act* to, const Act* from, std::int64_t step, int valid, bool whole) {
  if (whole && valid >= Chunk) {
    copy_async(to, from);
    return;
  }
  for (int i = 0; i < Chunk; ++i) to[i] = i < valid ? from[i * step] : from_float<Act>(0.0f);
}

// max(x, 0), of NaN NaN: fmaxf would make 0 of what has left fp16's range.
__device__ inline float relu(float x) {
  return x < 0.0f ? 0.0f : x;
}

template <class Tile, class Act = typename Tile::Act>
__device__ inline void load_a(const MatmulArgs<Act>& m, std::int64_t row0, int k0, bool whole, Act* to) {
  constexpr int kAcross = Tile::kStep / Tile::kChunk;
  for (int i = threadIdx.x; i < Tile::kRows * kAcross; i += Tile::kThreads) {
    const int row = i / kAcross, column = i % kAcross * Tile::kChunk;
    const std::int64_t r = row0 + row;
    const int k = k0 + column;
    const int valid = r < m.rows ? m.w.in - k : 0;
    Act* chunk = to + row * Tile::kAStride + column;
    if (m.feature == nullptr) {
      // Beyond the end nothing is read; the address is not formed either.
      const Act* from = valid > 0 ? m.a + blockIdx.z * m.a_batch + r * m.a_stride + k * m.a_step : m.a;
      load_chunk<Act, Tile::kChunk>(chunk, from, m.a_step, valid, whole);
      continue;
    }
    const std::int64_t s = r / m.feature_rows;
    const float* feature = m.feature + (r - s * m.feature_rows) * m.w.in + k;
    const float* latent = m.latent + s * m.w.in + k;
    for (int j = 0; j < Tile::kChunk; ++j) {
      chunk[j] = from_float<Act>(j < valid ? relu(feature[j] + latent[j]) : 0.0f);
    }
  }
}

template <class Tile, class Act = typename Tile::Act>
__device__ inline void load_w(const MatmulArgs<Act>& m, int column0, int k0, Act* to) {
  constexpr int kAcross = Tile::kColumns / Tile::kChunk;
  const Act* w = m.w.data + blockIdx.z * m.w_batch;
  for (int i = threadIdx.x; i < Tile::kStep * kAcross; i += Tile::kThreads) {
    const int row = i / kAcross, column = i % kAcross * Tile::kChunk;
    const int k = k0 + row, n = column0 + column;
    const int valid = k < m.w.in ? m.w.stride - n : 0;  // a whole number of chunks
    const Act* from = valid > 0 ? w + static_cast<std::int64_t>(k) * m.w.stride + n : w;
    load_chunk<Act, Tile::kChunk>(to + row * Tile::kWStride + column, from, 1, valid, true);
  }
}

// sums += a w for one stage. A thread owns, of each 16 x 8 fragment, the elements of multiply_add's c.
template <class Tile, class Act = typename Tile::Act>
__device__ inline void multiply(const Act* a, const Act* w, int warp_row, int warp_column,
                                float (&sums)[2][Tile::kFragments][4]) {
  const int lane = threadIdx.x % kWarp;
  if constexpr (sizeof(Act) == 2) {
    for (int k = 0; k < Tile::kStep; k += 16) {
      std::uint32_t left[2][4];
      for (int i = 0; i < 2; ++i) {
        load_matrices(left[i], a + (warp_row + 16 * i + lane % 16) * Tile::kAStride + k + lane / 16 * 8);
      }
#pragma unroll
      for (int j = 0; j < Tile::kFragments; j += 2) {
        std::uint32_t right[4];
        load_matrices_transposed(right,
                                 w + (k + lane % 16) * Tile::kWStride + warp_column + 8 * j + lane / 16 * 8);
        for (int i = 0; i < 2; ++i) {
          multiply_add<Act>(sums[i][j], left[i], right[0], right[1]);
          multiply_add<Act>(sums[i][j + 1], left[i], right[2], right[3]);
        }
      }
    }
  } else {
    const int row = warp_row + lane / 4, column = warp_column + lane % 4 * 2;
    for (int k = 0; k < Tile::kStep; ++k) {
      float left[4];
      for (int i = 0; i < 4; ++i) left[i] = a[(row + 8 * i) * Tile::kAStride + k];
#pragma unroll
      for (int j = 0; j < Tile::kFragments; ++j) {
        const float2 right = *reinterpret_cast<const float2*>(w + k * Tile::kWStride + column + 8 * j);
        for (int i = 0; i < 4; ++i) {
          sums[i / 2][j][i % 2 * 2] += left[i] * right.x;
          sums[i / 2][j][i % 2 * 2 + 1] += left[i] * right.y;
        }
      }
    }
  }
}

// Norm of one row of a warp, in place: mean, then deviations, as torch.nn.LayerNorm.
template <class Act>
__device__ inline void norm_row(const MatmulArgs<Act>& m, int columns, float* x) {
  const int lane = threadIdx.x % kWarp;
  const float share = 1.0f / static_cast<float>(m.norm_width);
  for (int first = 0; first < columns; first += m.norm_width) {
    float sum = 0.0f;
    for (int c = lane; c < m.norm_width; c += kWarp) sum += x[first + c];
    const float mean = warp_sum(sum) * share;
    float square = 0.0f;
    for (int c = lane; c < m.norm_width; c += kWarp) {
      const float deviation = x[first + c] - mean;
      square += deviation * deviation;
    }
    const float inverse = 1.0f / sqrtf(warp_sum(square) * share + m.norm_eps);
    for (int c = lane; c < m.norm_width; c += kWarp) {
      x[first + c] = (x[first + c] - mean) * inverse * m.norm_weight[c] + m.norm_bias[c];
    }
  }
}

// The four logits of row r in each mask, from its x after everything else.
template <class Act>
__device__ inline void store_logits(const MatmulArgs<Act>& m, std::int64_t r, const float* x) {
  const int lane = threadIdx.x % kWarp, width = m.w.out / 4, cells = m.grid * m.grid;
  const std::int64_t s = r / 4 / cells, draws = m.rows / 4 / cells;
  const int cell = static_cast<int>(r / 4 % cells), quarter = static_cast<int>(r % 4);
  for (int i = 0; i < 4 * m.masks; ++i) {
    const int mask = i / 4, group = i % 4;
    const float* hyper = m.hyper + (mask * draws + s) * width;
    float sum = 0.0f;
    for (int c = lane; c < width; c += kWarp) sum += x[group * width + c] * hyper[c];
    sum = warp_sum(sum);
    if (lane != 0) continue;
    const int y = 4 * (cell / m.grid) + 2 * (quarter / 2) + group / 2;
    const int column = 4 * (cell % m.grid) + 2 * (quarter % 2) + group % 2;
    m.logits[((s * m.masks + mask) * 4 * m.grid + y) * 4 * m.grid + column] = sum;
  }
}

// Everything after the product, for a tile of sums in shared memory: a warp a row, lanes along its columns.
template <class Tile, class Act = typename Tile::Act>
__device__ inline void finish_rows(const MatmulArgs<Act>& m, std::int64_t row0, int column0, float* tile) {
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int columns = min(Tile::kColumns, m.w.out - column0);
  const float* bias = m.bias == nullptr ? nullptr : m.bias + blockIdx.z * m.bias_batch + column0;
  for (int row = warp; row < Tile::kRows; row += Tile::kThreads / kWarp) {
    const std::int64_t r = row0 + row;
    if (r >= m.rows) return;
    float* x = tile + row * Tile::kResultStride;
    const std::int64_t bias_at = r / m.bias_every % m.bias_rows * m.w.out;
    const std::int64_t residual_at = r % m.residual_rows * m.w.out + column0;
    for (int c = lane; c < columns; c += kWarp) {
      float v = x[c];
      if (bias != nullptr) v += bias[bias_at + c];
      if (m.residual != nullptr) v += m.residual[residual_at + c];
      x[c] = m.relu ? relu(v) : v;
    }
    if (m.norm_weight != nullptr) {
      __syncwarp();
      norm_row(m, columns, x);
      __syncwarp();
    }
    for (int c = lane; c < columns; c += kWarp) {
      const float v = m.gelu ? gelu(x[c]) : x[c];
      const std::int64_t at = r * m.w.out + column0 + c;
      if (m.hyper != nullptr) x[c] = v;
      if (m.wide != nullptr) m.wide[blockIdx.z * m.wide_batch + at] = v;
      if (m.act != nullptr) {
        m.act[blockIdx.z * m.act_batch + r * m.act_stride + column0 + c] = from_float<Act>(v);
      }
      if (m.act_plus != nullptr) {
        m.act_plus[at] = from_float<Act>(v + m.plus[r % m.plus_rows * m.w.out + column0 + c]);
      }
    }
    if (m.hyper != nullptr) {
      __syncwarp();
      store_logits(m, r, x);
    }
  }
}

// inputs, outputs: ops/matmul.cuh; grid (rows / kRows, columns / kColumns, batch). whole: rows of A may be
// copied 16 bytes at a time.
template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads)
    matmul_kernel(const MatmulArgs<typename Tile::Act> m, bool whole) {
  using Act = typename Tile::Act;
  Act* stages = shared_memory<Act>();
  const int warp = threadIdx.x / kWarp, lane = threadIdx.x % kWarp;
  const int warp_row = warp / Tile::kWarpColumns * 32;
  const int warp_column = warp % Tile::kWarpColumns * 8 * Tile::kFragments;
  const std::int64_t row0 = static_cast<std::int64_t>(blockIdx.x) * Tile::kRows;
  const int column0 = blockIdx.y * Tile::kColumns;
  const int steps = (m.w.in + Tile::kStep - 1) / Tile::kStep;

  const auto load = [&](int step) {
    if (step < steps) {
      Act* stage = stages + step % Tile::kStages * Tile::kStageSize;
      load_a<Tile>(m, row0, step * Tile::kStep, whole, stage);
      load_w<Tile>(m, column0, step * Tile::kStep, stage + Tile::kASize);
    }
    copy_commit();  // an empty group too, so that the count of groups tells the step
  };
  float sums[2][Tile::kFragments][4] = {};
  for (int step = 0; step + 1 < Tile::kStages; ++step) load(step);
  for (int step = 0; step < steps; ++step) {
    copy_wait<Tile::kStages - 2>();
    __syncthreads();  // this stage is there for all, and all are done with the one that is loaded next
    load(step + Tile::kStages - 1);
    const Act* stage = stages + step % Tile::kStages * Tile::kStageSize;
    multiply<Tile>(stage, stage + Tile::kASize, warp_row, warp_column, sums);
  }
  copy_wait<0>();
  __syncthreads();

  float* tile = shared_memory<float>();
  for (int i = 0; i < 2; ++i) {
#pragma unroll
    for (int j = 0; j < Tile::kFragments; ++j) {
      for (int part = 0; part < 4; ++part) {
        const int row = warp_row + 16 * i + lane / 4 + part / 2 * 8;
        tile[row * Tile::kResultStride + warp_column + 8 * j + lane % 4 * 2 + part % 2] = sums[i][j][part];
      }
    }
  }
  __syncthreads();
  finish_rows<Tile>(m, row0, column0, tile);
}

// Many rows: cells. Few rows: tokens, hypotheses. A whole row in one block where the row is looked at.
template <class Act>
using ManyRows = Tile<Act, 2, 2, 8>;  // 64 x 128
template <class Act>
using ManyWholeRows = Tile<Act, 2, 4, 8>;  // 64 x 256
template <class Act>
using FewRows = Tile<Act, 1, 2, 4>;  // 32 x 64
template <class Act>
using FewWholeRows = Tile<Act, 1, 8, 4>;  // 32 x 256

template <class Tile>
void load_tile() {
  static_assert(Tile::kShared <= 99 * 1024, "what a block may hold on SM 8.6, 8.9 and 12.0");
  load_kernel(matmul_kernel<Tile>, Tile::kShared);
}

template <class Act>
void prepare_matmul() {
  load_tile<ManyRows<Act>>();
  load_tile<ManyWholeRows<Act>>();
  load_tile<FewRows<Act>>();
  load_tile<FewWholeRows<Act>>();
}

template <class Tile>
void launch_matmul(const MatmulArgs<typename Tile::Act>& m, bool whole, cudaStream_t stream) {
  const dim3 grid(blocks_for(m.rows, Tile::kRows), blocks_for(m.w.out, Tile::kColumns),
                  static_cast<unsigned>(m.batch));
  launch("asam.matmul", matmul_kernel<Tile>, grid, Tile::kThreads, Tile::kShared, stream, m, whole);
}

template <class Act>
void matmul(const MatmulArgs<Act>& m, cudaStream_t stream) {
  constexpr std::int64_t kMany = 1024;  // from here on a tile of 64 rows fills the GPU
  const auto aligned = [](std::int64_t elements) { return elements * sizeof(Act) % 16 == 0; };
  const bool whole = m.a != nullptr && m.a_step == 1 && aligned(m.a_stride) && aligned(m.a_batch) &&
                     reinterpret_cast<std::uintptr_t>(m.a) % 16 == 0;
  const bool many = m.rows >= kMany;
  if (m.norm_weight != nullptr || m.hyper != nullptr) {
    const int most = m.norm_weight != nullptr ? kMostNormColumns : kMostLogitColumns;
    if (m.w.out > most) throw std::invalid_argument("a row does not fit one block");
    if (m.w.out <= FewRows<Act>::kColumns) return launch_matmul<FewRows<Act>>(m, whole, stream);
    if (m.hyper != nullptr) return launch_matmul<ManyRows<Act>>(m, whole, stream);
    if (many) return launch_matmul<ManyWholeRows<Act>>(m, whole, stream);
    return launch_matmul<FewWholeRows<Act>>(m, whole, stream);
  }
  if (many && m.w.out > FewRows<Act>::kColumns) return launch_matmul<ManyRows<Act>>(m, whole, stream);
  launch_matmul<FewRows<Act>>(m, whole, stream);
}

}  // namespace asam::cuda
