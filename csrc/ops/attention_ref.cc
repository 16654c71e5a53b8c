#include <algorithm>
#include <cmath>

#include "ops/attention.h"

namespace asam {

void attend_ref(const AttentionShape& s, const float* q, const float* k, const float* v,
                const AttentionBias& bias, float* out, float* scratch) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.dim));
  for (int64_t h = 0; h < s.heads; ++h) {
    for (int64_t i = 0; i < s.queries; ++i) {
      const float* query = q + i * s.q_stride + h * s.dim;
      float* share = scratch;  // [keys]
      float top = -INFINITY;
      for (int64_t j = 0; j < s.keys; ++j) {
        share[j] = 0.0f;
        for (int64_t c = 0; c < s.dim; ++c) share[j] += query[c] * k[j * s.k_stride + h * s.dim + c];
        share[j] *= scale;
        if (bias.values) share[j] += bias.values[(h * s.keys + j) * bias.stride + i];
        top = std::max(top, share[j]);
      }
      float total = 0.0f;
      for (int64_t j = 0; j < s.keys; ++j) total += share[j] = std::exp(share[j] - top);
      for (int64_t c = 0; c < s.dim; ++c) {
        float sum = 0.0f;
        for (int64_t j = 0; j < s.keys; ++j) sum += share[j] * v[j * s.v_stride + h * s.dim + c];
        out[i * s.out_stride + h * s.dim + c] = sum / total;
      }
    }
  }
}

// sums [queries, heads, 2 + dim]: largest score so far, sum of the exponentials below it, mixture of values.
void attend_part_ref(const AttentionShape& s, const float* q, const float* k, const float* v,
                     AttentionPart part, float* sums, float* out, float*) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.dim));
  for (int64_t i = 0; i < s.queries; ++i) {
    for (int64_t h = 0; h < s.heads; ++h) {
      float* sum = sums + (i * s.heads + h) * (2 + s.dim);
      float &top = sum[0], &total = sum[1], *mixed = sum + 2;
      if (part.first) {
        top = -INFINITY;
        std::fill_n(sum + 1, 1 + s.dim, 0.0f);
      }
      for (int64_t j = 0; j < s.keys; ++j) {
        float score = 0.0f;
        for (int64_t c = 0; c < s.dim; ++c) {
          score += q[i * s.q_stride + h * s.dim + c] * k[j * s.k_stride + h * s.dim + c];
        }
        score *= scale;
        const float higher = std::max(top, score), earlier = std::exp(top - higher);
        const float share = std::exp(score - higher);
        top = higher;
        total = total * earlier + share;
        for (int64_t c = 0; c < s.dim; ++c) {
          mixed[c] = mixed[c] * earlier + share * v[j * s.v_stride + h * s.dim + c];
        }
      }
      for (int64_t c = 0; part.last && c < s.dim; ++c) {
        out[i * s.out_stride + h * s.dim + c] = mixed[c] / total;
      }
    }
  }
}

}  // namespace asam
