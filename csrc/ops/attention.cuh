// The attention of ops/attention.h on the GPU, for a batch of hypotheses: Act in, float32 sums and softmax,
// Act out.
//
//   out[s, i, h] = sum_j softmax_j( q[s, i, h] . k[s, j, h] / sqrt(dim) ) v[s, j, h]
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

namespace asam::cuda {

// Head h of a row is its columns h * dim .. (h + 1) * dim - 1.
template <class Act>
struct Rows {
  Act* data = nullptr;
  std::int64_t stride = 0;  // between rows
  std::int64_t batch = 0;   // between hypotheses; 0: the same for all
};

template <class Act>
struct AttentionArgs {
  Rows<const Act> q, k, v;
  Rows<Act> out;  // must not overlap the others
  int queries = 0, keys = 0, heads = 0, dim = 0, batch = 0;
};

constexpr int kMostHeadDim = 64;

// Few queries over many keys: tokens look at the image or at tokens. Enqueues.
template <class Act>
void attend_few_queries(const AttentionArgs<Act>& args, cudaStream_t stream);

// Many queries over few keys: the image looks at the tokens. Enqueues.
template <class Act>
void attend_few_keys(const AttentionArgs<Act>& args, cudaStream_t stream);

// Once a device, before the first call of either with that dim.
template <class Act>
void prepare_attention(int dim);

}  // namespace asam::cuda
