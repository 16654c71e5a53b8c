#include <cmath>

#include "ops/relative_attention.h"

namespace asam {
namespace {

float dot(const float* a, const float* b, int64_t n) {
  float sum = 0.0f;
  for (int64_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

// Every cell of the window in turn, padded ones too.
void relative_attend_ref(const RelativeAttentionShape& s, const RelativePositions& positions, const float* q,
                         const float* k, const float* v, float* out, float* scratch) {
  const float scale = 1.0f / std::sqrt(static_cast<float>(s.dim));
  float* score = scratch;  // [n * n]
  for (int64_t i = 0; i < s.queries; ++i) {
    const float* query = q + i * s.q_stride;
    const int64_t row = (s.first + i) / s.wide, column = (s.first + i) % s.wide;
    const auto is_real = [&](int64_t y, int64_t x) { return y < s.high && x < s.wide; };
    float top = -INFINITY;
    for (int64_t y = 0; y < s.window; ++y) {
      const float h = dot(query, positions.table_h + (row - y + s.window - 1) * s.dim, s.dim);
      for (int64_t x = 0; x < s.window; ++x) {
        const float w = dot(query, positions.table_w + (column - x + s.window - 1) * s.dim, s.dim);
        const float* key = is_real(y, x) ? k + (y * s.wide + x) * s.kv_stride : positions.padded_key;
        score[y * s.window + x] = dot(query, key, s.dim) * scale + h + w;
        top = std::fmax(top, score[y * s.window + x]);
      }
    }
    float* to = out + i * s.out_stride;
    for (int64_t c = 0; c < s.dim; ++c) to[c] = 0.0f;
    float total = 0.0f;
    for (int64_t y = 0; y < s.window; ++y) {
      for (int64_t x = 0; x < s.window; ++x) {
        const float* value = is_real(y, x) ? v + (y * s.wide + x) * s.kv_stride : positions.padded_value;
        const float share = std::exp(score[y * s.window + x] - top);
        total += share;
        for (int64_t c = 0; c < s.dim; ++c) to[c] += share * value[c];
      }
    }
    for (int64_t c = 0; c < s.dim; ++c) to[c] /= total;
  }
}

}  // namespace asam
