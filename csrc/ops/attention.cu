#include "ops/attention.cuh"

#include <algorithm>
#include <cmath>

#include "core/cuda_device.cuh"

namespace asam::cuda {
namespace {

// A head's part of a row as floats, zeros from `dim` on; 16 bytes at a time where `whole`.
template <int Dim, class Act>
__device__ inline void load_row(float (&to)[Dim], const Act* from, int dim, bool whole) {
  constexpr int kChunk = 16 / sizeof(Act);
  if (whole) {
#pragma unroll
    for (int c = 0; c < Dim; c += kChunk) {
      alignas(16) Act chunk[kChunk] = {};
      if (c < dim) *reinterpret_cast<uint4*>(chunk) = *reinterpret_cast<const uint4*>(from + c);
#pragma unroll
      for (int i = 0; i < kChunk; ++i) to[c + i] = to_float(chunk[i]);
    }
    return;
  }
#pragma unroll
  for (int c = 0; c < Dim; ++c) to[c] = c < dim ? to_float(from[c]) : 0.0f;
}

// Softmax and weighted sum over keys that come one after the other.
template <int Dim>
struct Running {
  float top = -INFINITY, total = 0.0f;
  float mixed[Dim] = {};

  __device__ void add(float score, const float (&value)[Dim]) {
    if (score > top) {
      const float shrink = expf(top - score);  // 0 for the first key
      total *= shrink;
#pragma unroll
      for (int c = 0; c < Dim; ++c) mixed[c] *= shrink;
      top = score;
    }
    const float weight = expf(score - top);
    total += weight;
#pragma unroll
    for (int c = 0; c < Dim; ++c) mixed[c] += weight * value[c];
  }
};

template <int Dim>
__device__ inline float dot(const float (&a)[Dim], const float* b) {
  float sum = 0.0f;
#pragma unroll
  for (int c = 0; c < Dim; ++c) sum += a[c] * b[c];
  return sum;
}

constexpr int kQueries = 4;  // of a block, which share the keys that it reads

// Shared memory of few_queries_kernel, in floats.
template <int Dim>
struct FewQueriesRoom {
  static constexpr int kMostWarps = Dim <= 32 ? 8 : 4;  // of a block, which share the keys among them
  static constexpr int kLaneStride = Dim + 1;           // mixed, total
  static constexpr int kPartStride = Dim + 2;           // mixed, total, top
  static constexpr int kQueriesAt = 0;                  // [kQueries, Dim]
  static constexpr int kPartsAt = kQueries * Dim;       // [warps, kQueries, kPartStride]
  static constexpr int kLanesAt = kPartsAt + kMostWarps * kQueries * kPartStride;  // [warps, 32, kLaneStride]
  static constexpr std::size_t bytes(int warps) {
    return sizeof(float) * static_cast<std::size_t>(kLanesAt + warps * kWarp * kLaneStride);
  }
};

// grid (heads, queries / kQueries, batch). Lanes take keys in turn, each with a softmax of its own; then the
// lanes of a warp are merged, then the warps. Without launch bounds: with them nvcc 13.0 leaves 32 registers
// to a Dim of 64 and spills three times as much, and a block fits a multiprocessor whatever it takes.
template <class Act, int Dim>
__global__ void few_queries_kernel(const AttentionArgs<Act> a, float scale, bool whole) {
  using Room = FewQueriesRoom<Dim>;
  static_assert(Room::kMostWarps * kWarp * 256 <= 64 * 1024, "registers of all threads, at most");
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
  const int head = blockIdx.x * a.dim, first = blockIdx.y * kQueries;
  const std::int64_t s = blockIdx.z;
  float* shared = shared_memory<float>();
  float* queries = shared + Room::kQueriesAt;
  float* parts = shared + Room::kPartsAt;
  float* lanes = shared + Room::kLanesAt + warp * kWarp * Room::kLaneStride;

  const Act* q = a.q.data + s * a.q.batch + head;
  for (int i = threadIdx.x; i < kQueries * Dim; i += blockDim.x) {
    const int query = first + i / Dim, c = i % Dim;
    const bool inside = query < a.queries && c < a.dim;
    queries[i] = inside ? to_float(q[query * a.q.stride + c]) * scale : 0.0f;
  }
  __syncthreads();

  Running<Dim> running[kQueries];
  const Act* k = a.k.data + s * a.k.batch + head;
  const Act* v = a.v.data + s * a.v.batch + head;
  for (int j = threadIdx.x; j < a.keys; j += blockDim.x) {
    float key[Dim], value[Dim];
    load_row(key, k + j * a.k.stride, a.dim, whole);
    load_row(value, v + j * a.v.stride, a.dim, whole);
#pragma unroll
    for (int i = 0; i < kQueries; ++i) running[i].add(dot(key, queries + i * Dim), value);
  }

#pragma unroll
  for (int i = 0; i < kQueries; ++i) {
    const float top = warp_max(running[i].top);
    // A warp that had no key has no top, a lane that had none counts nothing.
    const float shrink = running[i].top == -INFINITY ? 0.0f : expf(running[i].top - top);
    for (int c = 0; c < Dim; ++c) lanes[lane * Room::kLaneStride + c] = running[i].mixed[c] * shrink;
    lanes[lane * Room::kLaneStride + Dim] = running[i].total * shrink;
    __syncwarp();
    float* part = parts + (warp * kQueries + i) * Room::kPartStride;
    for (int c = lane; c <= Dim; c += kWarp) {
      float sum = 0.0f;
      for (int from = 0; from < kWarp; ++from) sum += lanes[from * Room::kLaneStride + c];
      part[c] = sum;
    }
    if (lane == 0) part[Dim + 1] = top;
    __syncwarp();
  }
  __syncthreads();

  for (int i = threadIdx.x; i < kQueries * Dim; i += blockDim.x) {
    const int query = first + i / Dim, c = i % Dim;
    if (query >= a.queries || c >= a.dim) continue;
    const auto part = [&](int from) { return parts + (from * kQueries + i / Dim) * Room::kPartStride; };
    float top = -INFINITY, total = 0.0f, mixed = 0.0f;
    for (int from = 0; from < warps; ++from) top = fmaxf(top, part(from)[Dim + 1]);
    for (int from = 0; from < warps; ++from) {
      const float shrink = expf(part(from)[Dim + 1] - top);
      total += part(from)[Dim] * shrink;
      mixed += part(from)[c] * shrink;
    }
    a.out.data[s * a.out.batch + query * a.out.stride + head + c] = from_float<Act>(mixed / total);
  }
}

constexpr int kFewKeysThreads = 256;

// Shared memory of few_keys_kernel: keys and values of one round, each [keys, heads, Dim + 1] floats; the odd
// stride puts a warp's heads into different banks.
template <int Dim>
constexpr std::size_t few_keys_bytes(int keys, int heads) {
  return sizeof(float) * 2 * static_cast<std::size_t>(keys) * heads * (Dim + 1);
}

constexpr std::size_t kFewKeysShared = 64 * 1024;

// How many keys a round takes.
template <int Dim>
int keys_at_once(int heads) {
  const auto most = static_cast<int>(kFewKeysShared / few_keys_bytes<Dim>(1, heads));
  return std::clamp(most, 1, 32);
}

// grid (queries / queries of a block, 1, batch). A thread is one head of one query; all read the same keys.
template <class Act, int Dim>
__global__ void __launch_bounds__(kFewKeysThreads)
    few_keys_kernel(const AttentionArgs<Act> a, float scale, bool whole, int round) {
  const std::int64_t s = blockIdx.z;
  const int per_block = blockDim.x / a.heads;
  const int head = threadIdx.x % a.heads;
  const std::int64_t query = static_cast<std::int64_t>(blockIdx.x) * per_block + threadIdx.x / a.heads;
  const bool works = static_cast<int>(threadIdx.x) < per_block * a.heads && query < a.queries;
  float* keys = shared_memory<float>();
  float* values = keys + static_cast<std::size_t>(round) * a.heads * (Dim + 1);

  float q[Dim] = {};
  if (works) {
    load_row(q, a.q.data + s * a.q.batch + query * a.q.stride + head * a.dim, a.dim, whole);
#pragma unroll
    for (int c = 0; c < Dim; ++c) q[c] *= scale;
  }
  Running<Dim> running;
  const Act* k = a.k.data + s * a.k.batch;
  const Act* v = a.v.data + s * a.v.batch;
  for (int first = 0; first < a.keys; first += round) {
    const int here = min(round, a.keys - first);
    __syncthreads();  // all are done with the round before
    for (int i = threadIdx.x; i < here * a.heads * Dim; i += blockDim.x) {
      const int c = i % Dim, row = i / Dim;  // row: a key's head
      const int j = first + row / a.heads, column = row % a.heads * a.dim + c;
      const bool inside = c < a.dim;
      keys[row * (Dim + 1) + c] = inside ? to_float(k[j * a.k.stride + column]) : 0.0f;
      values[row * (Dim + 1) + c] = inside ? to_float(v[j * a.v.stride + column]) : 0.0f;
    }
    __syncthreads();
    if (!works) continue;
    for (int j = 0; j < here; ++j) {
      const int row = (j * a.heads + head) * (Dim + 1);
      float value[Dim];
#pragma unroll
      for (int c = 0; c < Dim; ++c) value[c] = values[row + c];
      running.add(dot(q, keys + row), value);
    }
  }
  if (!works) return;
  Act* out = a.out.data + s * a.out.batch + query * a.out.stride + head * a.dim;
  const float inverse = 1.0f / running.total;
#pragma unroll
  for (int c = 0; c < Dim; ++c) {
    if (c < a.dim) out[c] = from_float<Act>(running.mixed[c] * inverse);
  }
}

// Calls body with the smallest compiled size that holds dim.
template <class Body>
void with_dim(int dim, const Body& body) {
  if (dim <= 16) return body(std::integral_constant<int, 16>{});
  if (dim <= 32) return body(std::integral_constant<int, 32>{});
  if (dim <= kMostHeadDim) return body(std::integral_constant<int, kMostHeadDim>{});
  throw std::invalid_argument("attention: a head is too wide");
}

template <class Act>
bool whole(const AttentionArgs<Act>& a) {
  const auto fits = [&](const Rows<const Act>& rows) {
    return rows.stride * sizeof(Act) % 16 == 0 && rows.batch * sizeof(Act) % 16 == 0 &&
           reinterpret_cast<std::uintptr_t>(rows.data) % 16 == 0;
  };
  return a.dim * sizeof(Act) % 16 == 0 && fits(a.q) && fits(a.k) && fits(a.v);
}

template <class Act>
void check_batch(const AttentionArgs<Act>& a) {
  constexpr int kMostBlocks = 65535;  // along the grid's last two axes
  if (a.batch > kMostBlocks || a.queries > kMostBlocks * static_cast<std::int64_t>(kQueries)) {
    throw std::invalid_argument("too much for one launch; ask for fewer hypotheses");
  }
}

template <class Act>
float scale_of(const AttentionArgs<Act>& a) {
  return 1.0f / std::sqrt(static_cast<float>(a.dim));
}

}  // namespace

template <class Act>
void attend_few_queries(const AttentionArgs<Act>& a, cudaStream_t stream) {
  check_batch(a);
  with_dim(a.dim, [&](auto size) {
    constexpr int kDim = decltype(size)::value;
    const int warps = std::clamp((a.keys + 2 * kWarp - 1) / (2 * kWarp), 1, FewQueriesRoom<kDim>::kMostWarps);
    const dim3 grid(static_cast<unsigned>(a.heads), blocks_for(a.queries, kQueries),
                    static_cast<unsigned>(a.batch));
    launch("asam.attend_few_queries", few_queries_kernel<Act, kDim>, grid, warps * kWarp,
           FewQueriesRoom<kDim>::bytes(warps), stream, a, scale_of(a), whole(a));
  });
}

template <class Act>
void attend_few_keys(const AttentionArgs<Act>& a, cudaStream_t stream) {
  check_batch(a);
  with_dim(a.dim, [&](auto size) {
    constexpr int kDim = decltype(size)::value;
    const int round = std::min(keys_at_once<kDim>(a.heads), a.keys);
    const dim3 grid(blocks_for(a.queries, kFewKeysThreads / a.heads), 1, static_cast<unsigned>(a.batch));
    launch("asam.attend_few_keys", few_keys_kernel<Act, kDim>, grid, kFewKeysThreads,
           few_keys_bytes<kDim>(round, a.heads), stream, a, scale_of(a), whole(a), round);
  });
}

template <class Act>
void prepare_attention(int dim) {
  with_dim(dim, [&](auto size) {
    constexpr int kDim = decltype(size)::value;
    // The most that any call asks for: what is allowed last holds for all.
    load_kernel(few_queries_kernel<Act, kDim>, FewQueriesRoom<kDim>::bytes(FewQueriesRoom<kDim>::kMostWarps));
    load_kernel(few_keys_kernel<Act, kDim>, kFewKeysShared);
  });
}

template void attend_few_queries(const AttentionArgs<float>&, cudaStream_t);
template void attend_few_keys(const AttentionArgs<float>&, cudaStream_t);
template void prepare_attention<float>(int);

template void attend_few_queries(const AttentionArgs<Bf16>&, cudaStream_t);
template void attend_few_keys(const AttentionArgs<Bf16>&, cudaStream_t);
template void prepare_attention<Bf16>(int);

template void attend_few_queries(const AttentionArgs<Fp16>&, cudaStream_t);
template void attend_few_keys(const AttentionArgs<Fp16>&, cudaStream_t);
template void prepare_attention<Fp16>(int);

}  // namespace asam::cuda
