#include <algorithm>
#include <cmath>

#include "ops/attention_bf16.h"

namespace asam {

void attend_bf16_ref(const AttentionShape& s, const Bf16* q, const Bf16* k, const Bf16* v, Bf16* out,
                     float* scratch) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.dim));
  for (int64_t h = 0; h < s.heads; ++h) {
    for (int64_t i = 0; i < s.queries; ++i) {
      const Bf16* query = q + i * s.q_stride + h * s.dim;
      float* share = scratch;  // [keys]
      float top = -INFINITY;
      for (int64_t j = 0; j < s.keys; ++j) {
        const Bf16* key = k + j * s.k_stride + h * s.dim;
        share[j] = 0.0f;
        for (int64_t c = 0; c < s.dim; ++c) share[j] += from_bf16(query[c]) * from_bf16(key[c]);
        share[j] *= scale;
        top = std::max(top, share[j]);
      }
      float total = 0.0f;
      for (int64_t j = 0; j < s.keys; ++j) {
        total += share[j] = std::exp(share[j] - top);
        Bf16 rounded;
        to_bf16_ref(share + j, 1, &rounded);
        share[j] = from_bf16(rounded);
      }
      for (int64_t c = 0; c < s.dim; ++c) {
        float sum = 0.0f;
        for (int64_t j = 0; j < s.keys; ++j) sum += share[j] * from_bf16(v[j * s.v_stride + h * s.dim + c]);
        sum /= total;
        to_bf16_ref(&sum, 1, out + i * s.out_stride + h * s.dim + c);
      }
    }
  }
}

}  // namespace asam
