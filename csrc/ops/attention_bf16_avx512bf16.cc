// Both shapes keep the few tokens in the lanes and walk over the many rows as they lie in memory, so nothing
// long is ever transposed: the scores of one row with all tokens are products of its pairs, each in every
// lane, with the tokens' pairs.
#if defined(__x86_64__)

#include "ops/attention_bf16.h"
#include "ops/bf16_simd.h"

namespace asam {
namespace {

using F = simd::Float<16>;
constexpr int64_t kLanes = 16;
constexpr int kRows = 4;  // rows at a time: as many sums that do not wait for each other

// to[p, lane] = pair p of row `lane` of `count`; the other lanes are zero.
ASAM_INLINE void pack_lanes(const Bf16* rows, int64_t stride, int64_t count, int64_t dim, Bf16* to) {
  for (int64_t c = 0; c < dim; c += 2) {
    Bf16* pairs = to + c * kLanes;
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      pairs[2 * lane] = lane < count ? rows[lane * stride + c] : 0;
      pairs[2 * lane + 1] = lane < count && c + 1 < dim ? rows[lane * stride + c + 1] : 0;
    }
  }
}

// to[p, c] = rows 2p and 2p + 1 side by side, columns padded with zeros to whole vectors.
ASAM_INLINE void pack_row_pairs(const Bf16* rows, int64_t stride, int64_t count, int64_t dim, Bf16* to) {
  for (int64_t j = 0; j < count; j += 2) {
    const Bf16* row = rows + j * stride;
    for (int64_t c = 0; c < dim; c += kLanes, to += 2 * kLanes) {
      const __mmask16 lanes = simd::first_lanes(dim - c);
      const __m256i a = _mm256_maskz_loadu_epi16(lanes, row + c);
      const __m256i b =
          j + 1 < count ? _mm256_maskz_loadu_epi16(lanes, row + stride + c) : _mm256_setzero_si256();
      _mm512_storeu_si512(to, simd::interleave(a, b));
    }
  }
}

// Scores of `Rows` rows with the tokens in the lanes.
template <int Rows>
ASAM_INLINE void scores(const Bf16* rows, int64_t stride, int64_t dim, const Bf16* lanes, float scale,
                        F (&score)[Rows]) {
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) score[r] = F{};
  for (int64_t c = 0; c + 1 < dim; c += 2) {
    const __m512bh tokens = simd::load_pairs(lanes + c * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      score[r] = simd::dot_pairs(score[r], simd::splat_pair(rows + r * stride + c), tokens);
    }
  }
  if (dim % 2) {
    const __m512bh tokens = simd::load_pairs(lanes + (dim - 1) * kLanes);
#pragma GCC unroll 4
    for (int r = 0; r < Rows; ++r) {
      score[r] = simd::dot_pairs(score[r], simd::splat_last(rows + r * stride + dim - 1), tokens);
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < Rows; ++r) score[r] *= scale;
}

// sum[r] of Rows outputs over pairs of keys: weights[r] has a pair of them every weight_step numbers, values
// a vector of pairs every value_step.
template <int Rows>
ASAM_INLINE void mix(const Bf16* weights, int64_t row_step, int64_t weight_step, const Bf16* values,
                     int64_t value_step, int64_t pairs, F (&sum)[Rows]) {
#pragma GCC unroll 8
  for (int r = 0; r < Rows; ++r) sum[r] = F{};
  for (int64_t p = 0; p < pairs; ++p) {
    const __m512bh value = simd::load_pairs(values + p * value_step);
#pragma GCC unroll 8
    for (int r = 0; r < Rows; ++r) {
      sum[r] = simd::dot_pairs(sum[r], simd::splat_pair(weights + r * row_step + p * weight_step), value);
    }
  }
}

// Outputs of queries first .. first + Rows - 1 of one group of lanes, as far as there are any.
template <int Rows>
ASAM_INLINE void mix_lanes(const AttentionShape& s, const Bf16* shares, const Bf16* values, const F& inverse,
                           int64_t first, int64_t count, Bf16* out) {
  const int64_t step = (s.dim + kLanes - 1) / kLanes * 2 * kLanes, pairs = (s.keys + 1) / 2;
  for (int64_t c = 0; c < s.dim; c += kLanes) {
    F sum[Rows];
    mix<Rows>(shares + 2 * first, 2, 2 * kLanes, values + 2 * c, step, pairs, sum);
    for (int r = 0; r < Rows && first + r < count; ++r) {
      simd::store_first_bf16(out + (first + r) * s.out_stride + c, sum[r] * inverse[first + r], s.dim - c);
    }
  }
}

template <int Rows>
ASAM_INLINE void scores_of_keys(const AttentionShape& s, const Bf16* keys, const Bf16* queries, float scale,
                                float* score, F& top) {
  F found[Rows];
  scores<Rows>(keys, s.k_stride, s.dim, queries, scale, found);
  for (int r = 0; r < Rows; ++r) {
    top = simd::max<16>(top, found[r]);
    simd::store<16>(score + r * kLanes, found[r]);
  }
}

template <int Rows>
ASAM_INLINE void attend_rows(const AttentionShape& s, const Bf16* queries, const Bf16* keys,
                             const Bf16* values, float scale, float* share, Bf16* out) {
  const int64_t vectors = (s.keys + kLanes - 1) / kLanes, pairs = (s.keys + 1) / 2;
  const int64_t step = (s.dim + 1) / 2 * 2 * kLanes, value_step = (s.dim + kLanes - 1) / kLanes * 2 * kLanes;
  const int64_t width = vectors * kLanes;
  const F lowest = simd::splat<16>(-__builtin_inff());
  F top[Rows];
  for (int r = 0; r < Rows; ++r) top[r] = lowest;
  for (int64_t g = 0; g < vectors; ++g) {
    F score[Rows];
    scores<Rows>(queries, s.q_stride, s.dim, keys + g * step, scale, score);
    const __mmask16 real = simd::first_lanes(s.keys - g * kLanes);
    for (int r = 0; r < Rows; ++r) {
      score[r] = (F)_mm512_mask_blend_ps(real, (__m512)lowest, (__m512)score[r]);
      top[r] = simd::max<16>(top[r], score[r]);
      simd::store<16>(share + r * width + g * kLanes, score[r]);
    }
  }
  F total[Rows];
  for (int r = 0; r < Rows; ++r) {
    top[r] = simd::max_to_all(top[r]);
    total[r] = F{};
  }
  Bf16* rounded = reinterpret_cast<Bf16*>(share + Rows * width);  // [Rows, width]
  for (int64_t g = 0; g < vectors; ++g) {
    const __mmask16 real = simd::first_lanes(s.keys - g * kLanes);
    for (int r = 0; r < Rows; ++r) {
      const F weight = simd::exp<16>(simd::load<16>(share + r * width + g * kLanes) - top[r]);
      const F kept = (F)_mm512_maskz_mov_ps(real, (__m512)weight);
      total[r] += kept;
      simd::store_bf16(rounded + r * width + g * kLanes, kept);
    }
  }
  F inverse[Rows];
  for (int r = 0; r < Rows; ++r) inverse[r] = 1.0f / simd::sum_to_all(total[r]);
  for (int64_t c = 0; c < s.dim; c += kLanes) {
    F sum[Rows];
    mix<Rows>(rounded, width, 2, values + 2 * c, value_step, pairs, sum);
    for (int r = 0; r < Rows; ++r) {
      simd::store_first_bf16(out + r * s.out_stride + c, sum[r] * inverse[r], s.dim - c);
    }
  }
}

}  // namespace

// Lanes are queries; softmax runs down the keys, so its maximum and sum are vectors as well.
void attend_few_queries_avx512bf16(const AttentionShape& s, const Bf16* q, const Bf16* k, const Bf16* v,
                                   Bf16* out, float* scratch) {
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(s.dim));
  const int64_t dim_pairs = (s.dim + 1) / 2, key_pairs = (s.keys + 1) / 2;
  Bf16* queries = reinterpret_cast<Bf16*>(scratch);                               // [dim_pairs, 16] pairs
  float* score = scratch + dim_pairs * kLanes;                                    // [keys, 16]
  Bf16* shares = reinterpret_cast<Bf16*>(score + s.keys * kLanes);                // [key_pairs, 16] pairs
  Bf16* values = reinterpret_cast<Bf16*>(score + (s.keys + key_pairs) * kLanes);  // [key_pairs, dim] pairs
  for (int64_t h = 0; h < s.heads; ++h, q += s.dim, k += s.dim, v += s.dim, out += s.dim) {
    pack_row_pairs(v, s.v_stride, s.keys, s.dim, values);
    for (int64_t start = 0; start < s.queries; start += kLanes) {
      const int64_t count = s.queries - start < kLanes ? s.queries - start : kLanes;
      pack_lanes(q + start * s.q_stride, s.q_stride, count, s.dim, queries);
      F top = simd::splat<16>(-__builtin_inff());
      int64_t j = 0;
      for (; j + kRows <= s.keys; j += kRows) {
        scores_of_keys<kRows>(s, k + j * s.k_stride, queries, scale, score + j * kLanes, top);
      }
      for (; j < s.keys; ++j) {
        scores_of_keys<1>(s, k + j * s.k_stride, queries, scale, score + j * kLanes, top);
      }
      F total{};
      for (j = 0; j < s.keys; j += 2) {
        const F a = simd::exp<16>(simd::load<16>(score + j * kLanes) - top);
        F b{};
        if (j + 1 < s.keys) b = simd::exp<16>(simd::load<16>(score + (j + 1) * kLanes) - top);
        total += a + b;
        _mm512_storeu_si512(shares + j * kLanes, simd::interleave((__m256i)_mm512_cvtneps_pbh((__m512)a),
                                                                  (__m256i)_mm512_cvtneps_pbh((__m512)b)));
      }
      const F inverse = 1.0f / total;
      Bf16* to = out + start * s.out_stride;
      int64_t first = 0;
      for (; count - first > 4; first += 8) mix_lanes<8>(s, shares, values, inverse, first, count, to);
      if (first < count) mix_lanes<4>(s, shares, values, inverse, first, count, to);
    }
  }
}

// Lanes are keys; softmax runs across the lanes of a query's row.
void attend_few_keys_avx512bf16(const AttentionShape& s, const Bf16* q, const Bf16* k, const Bf16* v,
                                Bf16* out, float* scratch) {
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(s.dim));
  const int64_t vectors = (s.keys + kLanes - 1) / kLanes, dim_pairs = (s.dim + 1) / 2;
  Bf16* keys = reinterpret_cast<Bf16*>(scratch);                                       // [vectors, pairs, 16]
  float* share = scratch + vectors * dim_pairs * kLanes;                               // room of attend_rows
  Bf16* values = reinterpret_cast<Bf16*>(share + vectors * kLanes * (kRows + kRows));  // [key pairs, dim]
  for (int64_t h = 0; h < s.heads; ++h, q += s.dim, k += s.dim, v += s.dim, out += s.dim) {
    pack_row_pairs(v, s.v_stride, s.keys, s.dim, values);
    for (int64_t g = 0; g < vectors; ++g) {
      const int64_t left = s.keys - g * kLanes;
      pack_lanes(k + g * kLanes * s.k_stride, s.k_stride, left < kLanes ? left : kLanes, s.dim,
                 keys + g * dim_pairs * 2 * kLanes);
    }
    int64_t i = 0;
    for (; i + kRows <= s.queries; i += kRows) {
      attend_rows<kRows>(s, q + i * s.q_stride, keys, values, scale, share, out + i * s.out_stride);
    }
    for (; i < s.queries; ++i) {
      attend_rows<1>(s, q + i * s.q_stride, keys, values, scale, share, out + i * s.out_stride);
    }
  }
}

}  // namespace asam

#endif
