// Attention with the lanes along the queries, so that every sum and maximum of a softmax is a vertical one
// and keys and values are read as they lie in memory. Rules of ops/simd.h apply.
#pragma once

#include "ops/attention.h"
#include "ops/query_product.h"
#include "ops/simd.h"

namespace asam::simd {

// Head h of queries first .. first + count - 1, at most `Vecs` vectors of them. sums: [2 + dim, Vecs
// vectors], the queries' largest scores so far, the sums of the exponentials below them and the mixtures of
// values; not touched where a part is both first and last.
template <int Lanes, int Rows, int Vecs>
ASAM_INLINE void attend_block(const AttentionShape& s, int64_t first, int64_t count, int64_t h,
                              const float* q, const float* k, const float* v, const AttentionBias& bias,
                              AttentionPart step, float* sums, float* out, float* scratch) {
  using F = Float<Lanes>;
  constexpr int64_t kWidth = Vecs * Lanes;
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(s.dim));
  float* columns = scratch;                 // [dim, kWidth]: queries, and once they are done with, results
  float* share = columns + s.dim * kWidth;  // [keys, kWidth]
  float* before = sums + 2 * kWidth;        // [dim, kWidth]

  rows_to_lanes(q + first * s.q_stride + h * s.dim, s.q_stride, count, s.dim, kWidth, columns);
  query_product<Lanes, Rows, Vecs>(k + h * s.dim, s.keys, s.k_stride, 1, s.dim, columns, kWidth, scale,
                                   share);
  F earlier[Vecs], total[Vecs];  // earlier: what a sum from before counts for under the new largest score
  for (int part = 0; part < Vecs; ++part) {
    float* shares = share + part * Lanes;
    if (bias.values) {
      const float* raised = bias.values + h * s.keys * bias.stride + first + part * Lanes;
      for (int64_t j = 0; j < s.keys; ++j) {
        float* score = shares + j * kWidth;
        store<Lanes>(score, load<Lanes>(score) + load<Lanes>(raised + j * bias.stride));
      }
    }
    const F old = step.first ? splat<Lanes>(-__builtin_inff()) : load<Lanes>(sums + part * Lanes);
    F top = old;
    for (int64_t j = 0; j < s.keys; ++j) top = max<Lanes>(top, load<Lanes>(shares + j * kWidth));
    earlier[part] = exp<Lanes>(old - top);
    total[part] = step.first ? F{} : load<Lanes>(sums + kWidth + part * Lanes) * earlier[part];
    for (int64_t j = 0; j < s.keys; ++j) {
      const F weight = exp<Lanes>(load<Lanes>(shares + j * kWidth) - top);
      total[part] += weight;
      store<Lanes>(shares + j * kWidth, weight);
    }
    if (!step.last) {
      store<Lanes>(sums + part * Lanes, top);
      store<Lanes>(sums + kWidth + part * Lanes, total[part]);
    }
  }
  query_product<Lanes, Rows, Vecs>(v + h * s.dim, s.dim, 1, s.v_stride, s.keys, share, kWidth, 1.0f, columns);
  for (int part = 0; part < Vecs; ++part) {
    const F inverse = 1.0f / total[part];
    for (int64_t c = 0; c < s.dim; ++c) {
      const int64_t at = c * kWidth + part * Lanes;
      F mixed = load<Lanes>(columns + at);
      if (!step.first) mixed += load<Lanes>(before + at) * earlier[part];
      if (step.last) {
        store<Lanes>(columns + at, mixed * inverse);
      } else {
        store<Lanes>(before + at, mixed);
      }
    }
  }
  if (step.last) {
    lanes_to_rows(columns, kWidth, count, s.dim, out + first * s.out_stride + h * s.dim, s.out_stride);
  }
}

template <int Lanes, int Rows>
ASAM_INLINE void attend_kernel(const AttentionShape& s, const float* q, const float* k, const float* v,
                               const AttentionBias& bias, AttentionPart part, float* sums, float* out,
                               float* scratch) {
  constexpr int64_t kStep = 2 * Lanes;
  static_assert(AttentionBias::kStep % kStep == 0, "the last lanes would read past the biases of a key");
  const int64_t sums_step = part.first && part.last ? 0 : (2 + s.dim) * kStep;
  for (int64_t first = 0; first < s.queries; first += kStep) {
    const int64_t count = s.queries - first < kStep ? s.queries - first : kStep;
    for (int64_t h = 0; h < s.heads; ++h, sums += sums_step) {
      if (count > Lanes) {
        attend_block<Lanes, Rows, 2>(s, first, count, h, q, k, v, bias, part, sums, out, scratch);
      } else {
        attend_block<Lanes, Rows, 1>(s, first, count, h, q, k, v, bias, part, sums, out, scratch);
      }
    }
  }
}

}  // namespace asam::simd
