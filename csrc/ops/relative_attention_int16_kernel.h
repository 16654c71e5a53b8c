// Relative attention whose two products are of 16-bit integers. Lanes along the queries, as in
// ops/relative_attention_kernel.h; keys pass in blocks, so that scores and shares stay in the first cache.
// Rules of ops/simd.h apply.
//
// Scores are products of rows as in ops/quantise_int16.h. Of the shares of a query and the values of a
// channel, a block is such a row: shares are e^(score - the block's largest), and what a block adds up to is
// weighed by e^(its largest score - the largest so far).
#pragma once

#include "ops/matmul_int16_kernel.h"
#include "ops/relative_attention_kernel.h"

namespace asam::simd {

// How keys are divided: nearly equal blocks of whole pairs.
struct KeyBlocks {
  int64_t keys, count, size;

  ASAM_INLINE explicit KeyBlocks(int64_t n)
      : keys(n),
        count((n + kRelativeKeys - 1) / kRelativeKeys),
        size(((n + count - 1) / count + 1) / 2 * 2) {}
  ASAM_INLINE int64_t first(int64_t block) const { return block * size < keys ? block * size : keys; }
};

// Scratch, from relative_attention_scratch(). Names as in the float version.
struct WordRoom {
  int64_t pairs;       // of numbers in a row
  int16_t* keys;       // [keys, 2 pairs]
  float* key_scale;    // [keys]
  int16_t* values;     // [blocks, d, size]
  float* value_scale;  // [blocks, d]
  int16_t* queries;    // [width, 2 pairs]
  float* query_scale;  // [width], with 1 / sqrt(d)
  int32_t* columns;    // [pairs, width]
  float* query_rows;   // [d, width]
  float* dots;         // [2n - 1, width]
  float* beside_h;     // [n, width]
  float* beside_w;     // [n, width]
  float* padded;       // [1, width]
  float* score;        // [size, width], then e^score
  int32_t* shares;     // [size / 2, width]
  float* mixed;        // [d, width]
  float* top;          // [1, width]
  float* total;        // [1, width]
  float* fading;       // [1, width], what is left of the mixture before a block
  float* share_scale;  // [1, width], of a block's shares in the mixture

  ASAM_INLINE WordRoom(const RelativeAttentionShape& s, int64_t width, float* scratch) {
    const KeyBlocks blocks(s.high * s.wide);
    pairs = (s.dim + 1) / 2;
    const auto take = [&](auto*& part, int64_t bytes) __attribute__((always_inline)) {
      part = reinterpret_cast<decltype(part + 0)>(scratch);
      scratch += (bytes + 63) / 64 * 16;
    };
    take(keys, blocks.keys * 2 * pairs * 2);
    take(key_scale, blocks.keys * 4);
    take(values, blocks.count * s.dim * blocks.size * 2);
    take(value_scale, blocks.count * s.dim * 4);
    take(queries, width * 2 * pairs * 2);
    take(query_scale, width * 4);
    take(columns, pairs * width * 4);
    take(query_rows, s.dim * width * 4);
    take(dots, (2 * s.window - 1) * width * 4);
    take(beside_h, s.window * width * 4);
    take(beside_w, s.window * width * 4);
    take(padded, width * 4);
    take(score, blocks.size * width * 4);
    take(shares, blocks.size / 2 * width * 4);
    take(mixed, s.dim * width * 4);
    take(top, width * 4);
    take(total, width * 4);
    take(fading, width * 4);
    take(share_scale, width * 4);
  }
};

// Rows of d numbers to rows of whole pairs.
ASAM_INLINE void rows_to_words(QuantiseInt16Fn quantise, const float* rows, int64_t stride, int64_t count,
                               int64_t dim, int64_t pairs, int16_t* words, float* scale) {
  quantise(rows, stride, count, dim, words, 2 * pairs, scale);
  if (dim % 2) {
    for (int64_t r = 0; r < count; ++r) words[r * 2 * pairs + dim] = 0;
  }
}

template <int Lanes>
ASAM_INLINE Float<Lanes> load_some(const float* p, int64_t count) {
  return count >= Lanes ? load<Lanes>(p) : load_part<Lanes>(p, count);
}

// Scales of Lanes columns of values, as of ops/quantise_int16.h.
template <int Lanes>
ASAM_INLINE Float<Lanes> value_scales(const float* v, int64_t stride, int64_t keys, int64_t channels) {
  using F = Float<Lanes>;
  F squares{}, high{}, spoiled{};
  for (int64_t j = 0; j < keys; ++j) {
    const F x = load_some<Lanes>(v + j * stride, channels);
    squares += x * x;
    high = max<Lanes>(high, max<Lanes>(x, -x));
    spoiled += x * 0.0f;
  }
  const float count = static_cast<float>(keys), most = int16_norm(count);
  const F norm = sqrt<Lanes>(squares);
  // Where a square left the range of float32, or none counted: the norm is at most that of equal numbers.
  const F by_norm =
      norm > 1e-10f && norm < 1e15f ? norm * (1.0f / most) : high * (__builtin_sqrtf(count) / most);
  const F scale = max<Lanes>(high * (1.0f / kInt16Most), by_norm);
  return (high < kLeastRange ? splat<Lanes>(1.0f) : scale) + spoiled;
}

// A block's values, column by column.
template <int Lanes>
ASAM_INLINE void values_to_words(const float* v, int64_t stride, int64_t keys, int64_t dim, int64_t size,
                                 int16_t* words, float* scale) {
  using F = Float<Lanes>;
  using I = Int<Lanes>;
  for (int64_t c = 0; c < dim; c += Lanes) {
    const int64_t channels = dim - c < Lanes ? dim - c : Lanes;
    const F scales = value_scales<Lanes>(v + c, stride, keys, channels);
    const F steps = scales == scales ? 1.0f / scales : F{};
    for (int64_t lane = 0; lane < channels; ++lane) scale[c + lane] = scales[lane];
    const F rounder = splat<Lanes>(12582912.0f);  // 1.5 * 2^23: the low bits of a sum with it are the integer
    const auto level = [&](int64_t j) __attribute__((always_inline)) {
      const F x = load_some<Lanes>(v + j * stride + c, channels);
      const F sum = (scales == scales ? x * steps : F{}) + rounder;
      return (I)sum;
    };
    for (int64_t j = 0; j < size; j += 2) {
      const I low = j < keys ? level(j) & 0xffff : I{}, high = j + 1 < keys ? level(j + 1) << 16 : I{};
      const I pair = low | high;
      for (int64_t lane = 0; lane < channels; ++lane) {
        const int32_t both = pair[lane];
        __builtin_memcpy(words + (c + lane) * size + j, &both, sizeof both);
      }
    }
  }
}

// Calls finish(row, sums of that row's Vecs vectors) for a [rows, in] times b [in, ..], pairs of both side by
// side.
template <class Numbers, int Rows, int Vecs, class Finish>
ASAM_INLINE void word_product(const int16_t* a, int64_t a_stride, int64_t rows, int64_t pairs,
                              const int32_t* b, int64_t width, const Finish& finish) {
  const int64_t tiles = (rows + Rows - 1) / Rows;
  const auto* panel = reinterpret_cast<const int16_t*>(b);
  const Ahead here{reinterpret_cast<const char*>(b), 0};  // all of it is in the caches
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t row = rows * t / tiles, height = rows * (t + 1) / tiles - row;
    typename Numbers::Vector sums[Rows * Vecs];
    tile_sums_of<Numbers, Rows, Vecs>(height, a + row * a_stride, a_stride, pairs, panel, 2 * width, here,
                                      sums);
    for (int64_t r = 0; r < height; ++r) finish(row + r, sums + r * Vecs);
  }
}

template <int Lanes, int Rows, class Numbers>
ASAM_INLINE void relative_words_block(const RelativeAttentionShape& s, const RelativePositions& positions,
                                      QuantiseInt16Fn quantise, const float* q, int64_t width, float* out,
                                      const WordRoom& room) {
  using F = Float<Lanes>;
  using I = Int<Lanes>;
  const float scale = 1.0f / __builtin_sqrtf(static_cast<float>(s.dim));
  const KeyBlocks blocks(s.high * s.wide);
  const bool pads = has_padding(s);

  rows_to_lanes(q, s.q_stride, s.queries, s.dim, width, room.query_rows);
  relative_positions<Lanes, Rows>(s, positions, room.query_rows, width, room.dots, room.beside_h,
                                  room.beside_w);
  rows_to_words(quantise, q, s.q_stride, s.queries, s.dim, room.pairs, room.queries, room.query_scale);
  for (int64_t i = 0; i < width; ++i) {
    const int64_t from = i < s.queries ? i : 0;
    room.query_scale[i] = i < s.queries ? room.query_scale[i] * scale : room.query_scale[0];
    for (int64_t p = 0; p < room.pairs; ++p) {
      __builtin_memcpy(room.columns + p * width + i, room.queries + (from * room.pairs + p) * 2, 4);
    }
  }
  if (pads) {
    query_product<Lanes, Rows, 2>(positions.padded_key, 1, s.dim, 1, s.dim, room.query_rows, width, scale,
                                  room.padded);
  }
  for (int64_t i = 0; i < width; i += Lanes) {
    F top = splat<Lanes>(-__builtin_inff()), rest{};
    if (pads) {
      const PaddedCells<Lanes> cells(s, room.padded + i, room.beside_h + i, room.beside_w + i, width);
      top = cells.top();
      rest = cells.rest(top);
    }
    store<Lanes>(room.top + i, top);
    store<Lanes>(room.total + i, rest);
    for (int64_t c = 0; c < s.dim; ++c) {
      store<Lanes>(room.mixed + c * width + i, pads ? rest * positions.padded_value[c] : F{});
    }
  }

  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t first = blocks.first(block), keys = blocks.first(block + 1) - first;
    const float most_norm = int16_norm(static_cast<float>(keys));
    for (int64_t i = 0; i < width; i += 2 * Lanes) {
      F highest[2] = {splat<Lanes>(-__builtin_inff()), splat<Lanes>(-__builtin_inff())};
      const F steps[2] = {load<Lanes>(room.query_scale + i), load<Lanes>(room.query_scale + i + Lanes)};
      int64_t y = first / s.wide, x = first % s.wide;
      word_product<Numbers, Rows, 2>(
          room.keys + first * 2 * room.pairs, 2 * room.pairs, keys, room.pairs, room.columns + i, width,
          [&](int64_t j, const I* sums) __attribute__((always_inline)) {
            const float key_scale = room.key_scale[first + j];
            for (int part = 0; part < 2; ++part) {
              const int64_t lane = i + part * Lanes;
              const F beside = load<Lanes>(room.beside_h + y * width + lane) +
                               load<Lanes>(room.beside_w + x * width + lane);
              const F score = __builtin_convertvector(sums[part], F) * (steps[part] * key_scale) + beside;
              highest[part] = max<Lanes>(highest[part], score);
              store<Lanes>(room.score + j * width + lane, score);
            }
            if (++x == s.wide) x = 0, ++y;
          });
      for (int part = 0; part < 2; ++part) {
        const int64_t lane = i + part * Lanes;
        const F before = load<Lanes>(room.top + lane), top = max<Lanes>(before, highest[part]);
        const F fading = exp<Lanes>(before - top), weight = exp<Lanes>(highest[part] - top);
        F total{}, squares{};
        for (int64_t j = 0; j < keys; ++j) {
          const F share = exp<Lanes>(load<Lanes>(room.score + j * width + lane) - highest[part]);
          total += share;
          squares += share * share;
          store<Lanes>(room.score + j * width + lane, share);
        }
        // Of shares whose largest is 1.
        const F share_scale =
            max<Lanes>(splat<Lanes>(1.0f / kInt16Most), sqrt<Lanes>(squares) * (1.0f / most_norm));
        const F share_steps = 1.0f / share_scale;
        const auto level = [&](int64_t j) __attribute__((always_inline)) {
          const F share = load<Lanes>(room.score + j * width + lane);
          return __builtin_convertvector(share * share_steps + 0.5f, I);
        };
        for (int64_t j = 0; j < keys; j += 2) {
          const I low = level(j), high = j + 1 < keys ? level(j + 1) : I{};
          const I pair = low | high << 16;
          __builtin_memcpy(room.shares + j / 2 * width + lane, &pair, sizeof pair);
        }
        store<Lanes>(room.top + lane, top);
        store<Lanes>(room.total + lane, load<Lanes>(room.total + lane) * fading + total * weight);
        store<Lanes>(room.fading + lane, fading);
        store<Lanes>(room.share_scale + lane, share_scale * weight);
      }
      const float* value_scale = room.value_scale + block * s.dim;
      const F fading[2] = {load<Lanes>(room.fading + i), load<Lanes>(room.fading + i + Lanes)};
      const F scales[2] = {load<Lanes>(room.share_scale + i), load<Lanes>(room.share_scale + i + Lanes)};
      word_product<Numbers, Rows, 2>(
          room.values + block * s.dim * blocks.size, blocks.size, s.dim, (keys + 1) / 2, room.shares + i,
          width, [&](int64_t c, const I* sums) __attribute__((always_inline)) {
            for (int part = 0; part < 2; ++part) {
              float* mixed = room.mixed + c * width + i + part * Lanes;
              store<Lanes>(mixed, load<Lanes>(mixed) * fading[part] + __builtin_convertvector(sums[part], F) *
                                                                          (scales[part] * value_scale[c]));
            }
          });
    }
  }
  for (int64_t i = 0; i < width; i += Lanes) {
    const F inverse = 1.0f / load<Lanes>(room.total + i);
    for (int64_t c = 0; c < s.dim; ++c) {
      float* mixed = room.mixed + c * width + i;
      store<Lanes>(mixed, load<Lanes>(mixed) * inverse);
    }
  }
  lanes_to_rows(room.mixed, width, s.queries, s.dim, out, s.out_stride);
}

// Lanes of so many queries, in whole pairs of vectors.
template <int Lanes>
ASAM_INLINE int64_t lanes_of(int64_t queries) {
  return (queries + 2 * Lanes - 1) / (2 * Lanes) * (2 * Lanes);
}

template <int Lanes, int Rows, class Instruction>
ASAM_INLINE void relative_words_kernel(const RelativeAttentionShape& s, const RelativePositions& positions,
                                       QuantiseInt16Fn quantise, const float* q, const float* k,
                                       const float* v, float* out, float* scratch) {
  const KeyBlocks blocks(s.high * s.wide);
  const int64_t most = s.queries < kRelativeQueries ? s.queries : kRelativeQueries;
  const WordRoom room(s, lanes_of<Lanes>(most), scratch);
  rows_to_words(quantise, k, s.kv_stride, blocks.keys, s.dim, room.pairs, room.keys, room.key_scale);
  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t first = blocks.first(block), keys = blocks.first(block + 1) - first;
    values_to_words<Lanes>(v + first * s.kv_stride, s.kv_stride, keys, s.dim, blocks.size,
                           room.values + block * s.dim * blocks.size, room.value_scale + block * s.dim);
  }
  for_query_blocks(s, [&](const RelativeAttentionShape& part, int64_t first) __attribute__((always_inline)) {
    relative_words_block<Lanes, Rows, Words<Lanes, Instruction>>(
        part, positions, quantise, q + first * s.q_stride, lanes_of<Lanes>(part.queries),
        out + first * s.out_stride, room);
  });
}

}  // namespace asam::simd
