// Rows times a weight matrix on the GPU, and everything that happens to a row before it is stored.
//
//   x[r] = A[r] W + bias[(r / bias_every) mod bias_rows] + residual[r mod residual_rows]
//   x    = relu(x)                                                       where asked
//   x    = (x - mean) / sqrt(variance + eps) norm_weight + norm_bias     over each group of norm_width
//   columns x    = gelu(x)                                                       exact, with erf
//
// and then one of
//   wide[r] = x (float32),   act[r] = x as Act,   act_plus[r] = (x + plus[r mod plus_rows]) as Act
//   logits of a cell = the sums of x hyper over groups of columns (identity 6 of docs/architecture.md)
//
// A is an array of Act, or made on the way: relu(feature[r mod feature_rows] + latent[r / feature_rows]), the
// first layer of a combiner (identity 2). Factors are Act, sums float32: mma.sync for 16-bit types, FMA else.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

namespace asam::cuda {

// [in, out], rows `stride` apart: a multiple of 16 bytes, zeros beyond `out`.
template <class Act>
struct Matrix {
  const Act* data = nullptr;
  int in = 0, out = 0, stride = 0;
};

template <class Act>
struct MatmulArgs {
  std::int64_t rows = 0;
  Matrix<Act> w;

  const Act* a = nullptr;  // element (r, i) at r * a_stride + i * a_step
  std::int64_t a_stride = 0, a_step = 1;
  const float* feature = nullptr;  // in place of a: [feature_rows, in], dense
  const float* latent = nullptr;   // [rows / feature_rows, in], dense
  std::int64_t feature_rows = 1;

  const float* bias = nullptr;  // [bias_rows, out], dense
  std::int64_t bias_rows = 1, bias_every = 1;
  const float* residual = nullptr;  // [residual_rows, out], dense; may be wide
  std::int64_t residual_rows = 1;
  bool relu = false, gelu = false;
  const float* norm_weight = nullptr;  // [norm_width]; null: no norm
  const float* norm_bias = nullptr;
  int norm_width = 0;  // divides out
  float norm_eps = 0;

  float* wide = nullptr;  // dense
  Act* act = nullptr;
  std::int64_t act_stride = 0;
  const float* plus = nullptr;  // [plus_rows, out], dense
  std::int64_t plus_rows = 1;
  Act* act_plus = nullptr;  // dense

  // Row r is quarter r mod 4 = (dy0, dx0) of cell r / 4, its four groups of out / 4 columns are (dy1, dx1).
  const float* hyper = nullptr;  // [masks, rows / (4 grid^2), out / 4]
  float* logits = nullptr;       // [rows / (4 grid^2), masks, 4 grid, 4 grid]
  int grid = 0, masks = 1;

  // The same with other numbers, side by side; strides in elements.
  int batch = 1;
  std::int64_t a_batch = 0, w_batch = 0, bias_batch = 0, wide_batch = 0, act_batch = 0;
};

// Rows must fit a tile where a norm or the logits look at a whole row.
constexpr int kMostNormColumns = 256, kMostLogitColumns = 128;

// Enqueues. Throws std::invalid_argument where a row does not fit.
template <class Act>
void matmul(const MatmulArgs<Act>& args, cudaStream_t stream);

// Once a device, before the first call of it.
template <class Act>
void prepare_matmul();

}  // namespace asam::cuda
