#include "ops/outlines.h"

#include <algorithm>
#include <vector>

#include "core/errors.h"
#include "core/threads.h"
#include "ops/mask_pairs.h"

namespace asam {
namespace {

constexpr int64_t kWordBits = 64;
constexpr int64_t kWordGrain = 1 << 12;  // words and rows below which another thread is not woken
constexpr int64_t kRowGrain = 64;

// Bits from `shift` on of a packed mask, as those of word w; nothing beyond its last word.
uint64_t shifted(const uint64_t* mask, int64_t words, int64_t w, int64_t shift) {
  const int64_t from = w + shift / kWordBits, bit = shift % kWordBits;
  const uint64_t low = from < words ? mask[from] >> bit : 0;
  return bit == 0 || from + 1 >= words ? low : low | mask[from + 1] << (kWordBits - bit);
}

// The pixels, as bits, that have one right of them, and one below.
struct Neighbours {
  std::vector<uint64_t> right, below;

  Neighbours(int64_t h, int64_t w)
      : right(static_cast<size_t>(packed_words(h * w)), ~uint64_t{0}), below(right.size(), ~uint64_t{0}) {
    for (int64_t last = w - 1; last < h * w; last += w) {
      right[static_cast<size_t>(last / kWordBits)] &= ~(uint64_t{1} << last % kWordBits);
    }
    const int64_t end = (h - 1) * w;  // of the last row but one
    for (int64_t word = end / kWordBits; word < static_cast<int64_t>(below.size()); ++word) {
      const int64_t kept = std::max<int64_t>(end - word * kWordBits, 0);
      below[static_cast<size_t>(word)] = (uint64_t{1} << kept) - 1;
    }
  }
};

// Three pixels of which the middle one counts twice.
template <class T>
uint8_t weighed(T before, T here, T after) {
  return static_cast<uint8_t>(before + 2 * here + after);
}

// A row of edges, bits of `edges` from `first` on, weighed along the row.
void weigh_row(const uint64_t* edges, int64_t first, int64_t width, uint8_t* row, uint8_t* out) {
  row[0] = row[width + 1] = 0;
  for (int64_t x = 0; x < width; ++x) {
    row[x + 1] = edges[(first + x) / kWordBits] >> (first + x) % kWordBits & 1;
  }
  for (int64_t x = 0; x < width; ++x) out[x] = weighed(row[x], row[x + 1], row[x + 2]);
}

}  // namespace

void OutlineShape::check() const {
  constexpr int64_t kMost = int64_t{1} << 31;
  require(h >= 1 && w >= 1 && h < kMost && w < kMost && h * w < kMost,
          "expected masks of 1 to 2^31 - 1 pixels, got ", h, " x ", w);
  require(groups >= 0 && groups <= n, "groups: expected 0 to ", n, ", got ", groups);
  require(0 <= y0 && y0 < y1 && y1 <= h && 0 <= x0 && x0 < x1 && x1 <= w,
          "region: expected a part of the masks, ", h, " x ", w, ", got rows ", y0, " to ", y1, ", columns ",
          x0, " to ", x1);
}

void outline_layers(const OutlineShape& shape, const uint64_t* packed, const int64_t* group,
                    const uint8_t* table, uint8_t* layers) {
  shape.check();
  const auto [n, h, w, groups, y0, y1, x0, x1] = shape;
  for (int64_t i = 0; i < n; ++i) {
    require(group[i] >= -1 && group[i] < groups, "group: expected -1 to ", groups - 1, ", got ", group[i]);
  }
  const int64_t words = packed_words(h * w);
  const Neighbours exists(h, w);
  std::vector<uint64_t> edges(static_cast<size_t>(groups * words));
  parallel_for(words, kWordGrain, [&, w = w, n = n](int64_t begin, int64_t end) {
    for (int64_t i = 0; i < n; ++i) {
      if (group[i] < 0) continue;
      const uint64_t* mask = packed + i * words;
      uint64_t* to = edges.data() + group[i] * words;
      for (int64_t at = begin; at < end; ++at) {
        const auto k = static_cast<size_t>(at);
        to[at] |= (mask[at] ^ shifted(mask, words, at, 1)) & exists.right[k];
        to[at] |= (mask[at] ^ shifted(mask, words, at, w)) & exists.below[k];
      }
    }
  });
  const int64_t high = y1 - y0, wide = x1 - x0;
  parallel_for(groups * high, kRowGrain, [&, w = w, x0 = x0, y0 = y0](int64_t begin, int64_t end) {
    // Rows weighed along, those before and after a row of the layer with it; zeros beyond the region.
    std::vector<uint8_t> row(static_cast<size_t>(wide + 2)), along[3];
    for (auto& one : along) one.resize(static_cast<size_t>(wide));
    int64_t ready = -1;  // the row of a layer, counted through all layers, that `along` is around
    for (int64_t i = begin; i < end; ++i) {
      const int64_t g = i / high, y = i % high;
      const auto weigh = [&](int64_t of, std::vector<uint8_t>& to) {
        if (of < 0 || of >= high) {
          std::fill(to.begin(), to.end(), uint8_t{0});
        } else {
          weigh_row(edges.data() + g * words, (y0 + of) * w + x0, wide, row.data(), to.data());
        }
      };
      if (ready == i - 1 && y > 0) {
        std::rotate(along, along + 1, along + 3);
      } else {
        weigh(y - 1, along[0]);
        weigh(y, along[1]);
      }
      weigh(y + 1, along[2]);
      ready = i;
      uint8_t* out = layers + i * wide;
      for (int64_t x = 0; x < wide; ++x) {
        const auto at = static_cast<size_t>(x);
        out[x] = table[weighed(along[0][at], along[1][at], along[2][at])];
      }
    }
  });
}

}  // namespace asam
