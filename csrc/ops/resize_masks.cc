#include "ops/resize_masks.h"

#include <algorithm>

#include "core/errors.h"
#include "core/threads.h"
#include "ops/mask_pairs.h"
#include "ops/resize_taps.h"

namespace asam {
namespace {

// A tile's rows of scratch stay in the second-level cache.
constexpr int64_t kTileRows = 64;
constexpr int64_t kTileCols = 1024;

struct Tile {
  int64_t row0, row1, col0, col1;
};

struct Operator {
  ResizeGeometry geometry;
  ResizeTaps y, x;

  explicit Operator(const ResizeGeometry& g) : geometry(g) {
    g.check();
    y = compose_taps(g.low, g.side, g.input_h, g.out_h);
    x = compose_taps(g.low, g.side, g.input_w, g.out_w);
  }

  int64_t tiles_y() const { return (geometry.out_h + kTileRows - 1) / kTileRows; }
  int64_t tiles_x() const { return (geometry.out_w + kTileCols - 1) / kTileCols; }

  Tile tile(int64_t index) const {
    const int64_t row0 = index / tiles_x() * kTileRows;
    const int64_t col0 = index % tiles_x() * kTileCols;
    return {row0, std::min(row0 + kTileRows, geometry.out_h), col0,
            std::min(col0 + kTileCols, geometry.out_w)};
  }

  // Calls sink(row, r0, r1, r2, w0, w1, w2) for every row of the tile: the three column-resized
  // low-resolution rows that it mixes, starting at the tile's first column.
  template <class Sink>
  void for_each_row(const float* map, const Tile& t, std::vector<float>& scratch, const Sink& sink) const {
    const int64_t width = t.col1 - t.col0;
    const int64_t low0 = y.first[t.row0];
    const int64_t low1 = y.first[t.row1 - 1] + 3;
    scratch.resize(static_cast<size_t>((low1 - low0) * width));
    for (int64_t r = low0; r < low1; ++r) {
      const float* in = map + r * geometry.low;
      float* out = scratch.data() + (r - low0) * width;
      for (int64_t c = 0; c < width; ++c) {
        const int64_t i = t.col0 + c;
        const float* p = in + x.first[i];
        out[c] = x.weight[0][i] * p[0] + x.weight[1][i] * p[1] + x.weight[2][i] * p[2];
      }
    }
    for (int64_t row = t.row0; row < t.row1; ++row) {
      const float* r0 = scratch.data() + (y.first[row] - low0) * width;
      sink(row, r0, r0 + width, r0 + 2 * width, y.weight[0][row], y.weight[1][row], y.weight[2][row]);
    }
  }
};

}  // namespace

void ResizeGeometry::check() const {
  constexpr int64_t most = int64_t{1} << 20;
  require(low >= 4 && low <= kMostLow, "expected logits of side 4 to ", kMostLow, ", came ", low);
  require(side >= low && side <= most, "expected a model side from ", low, " to ", most, ", came ", side);
  require(input_h >= 1 && input_h <= side && input_w >= 1 && input_w <= side,
          "expected an input size from 1 to ", side, ", came ", input_h, " x ", input_w);
  require(out_h >= 1 && out_w >= 1 && out_h <= most && out_w <= most, "expected an output size from 1 to ",
          most, ", came ", out_h, " x ", out_w);
}

ResizeTaps compose_taps(int64_t low, int64_t side, int64_t input, int64_t out) {
  ResizeTaps taps;
  taps.first.resize(out);
  for (auto& w : taps.weight) w.assign(out, 0.0f);
  for (int64_t i = 0; i < out; ++i) {
    const ResizeTap tap = compose_tap(i, low, side, input, out);
    taps.first[i] = tap.first;
    for (int t = 0; t < 3; ++t) taps.weight[t][i] = tap.weight[t];
  }
  return taps;
}

void masks_from_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                       uint8_t* masks) {
  const Operator op(geometry);
  const int64_t tiles = op.tiles_y() * op.tiles_x();
  parallel_for(n * tiles, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / tiles;
      const Tile t = op.tile(task % tiles);
      const int64_t width = t.col1 - t.col0;
      op.for_each_row(
          logits + s * geometry.low * geometry.low, t, scratch,
          [&](int64_t row, const float* r0, const float* r1, const float* r2, float w0, float w1, float w2) {
            uint8_t* out = masks + (s * geometry.out_h + row) * geometry.out_w + t.col0;
            for (int64_t c = 0; c < width; ++c) out[c] = w0 * r0[c] + w1 * r1[c] + w2 * r2[c] > threshold;
          });
    }
  });
}

void packed_masks_from_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                              uint64_t* packed) {
  static_assert(kTileRows == 64, "a band of tiles is then a whole number of words, whatever its width");
  const Operator op(geometry);
  const MaskPairKernel& kernel = mask_pair_kernel();
  const int64_t width = geometry.out_w, across = op.tiles_x();
  const int64_t words = packed_words(geometry.out_h * width);
  parallel_for(n * op.tiles_y(), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch;
    std::vector<uint8_t> bytes(static_cast<size_t>(kTileRows * width));
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / op.tiles_y(), band = task % op.tiles_y();
      int64_t rows = 0;
      for (int64_t x = 0; x < across; ++x) {
        const Tile t = op.tile(band * across + x);
        rows = t.row1 - t.row0;
        op.for_each_row(logits + s * geometry.low * geometry.low, t, scratch,
                        [&](int64_t row, const float* r0, const float* r1, const float* r2, float w0,
                            float w1, float w2) {
                          uint8_t* out = bytes.data() + (row - t.row0) * width + t.col0;
                          for (int64_t c = 0; c < t.col1 - t.col0; ++c) {
                            out[c] = w0 * r0[c] + w1 * r1[c] + w2 * r2[c] > threshold;
                          }
                        });
      }
      kernel.pack(bytes.data(), rows * width, packed + s * words + band * width);
    }
  });
}

void mask_statistics(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                     int32_t* counts, int64_t* areas) {
  const Operator op(geometry);
  std::fill(counts, counts + geometry.out_h * geometry.out_w, 0);
  std::fill(areas, areas + n, int64_t{0});
  // A task owns a tile of counts for all n, so only the areas are shared between threads.
  parallel_for(op.tiles_y() * op.tiles_x(), 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch;
    for (int64_t task = begin; task < end; ++task) {
      const Tile t = op.tile(task);
      const int64_t width = t.col1 - t.col0;
      for (int64_t s = 0; s < n; ++s) {
        int64_t area = 0;
        op.for_each_row(logits + s * geometry.low * geometry.low, t, scratch,
                        [&](int64_t row, const float* r0, const float* r1, const float* r2, float w0,
                            float w1, float w2) {
                          int32_t* out = counts + row * geometry.out_w + t.col0;
                          int32_t inside = 0;
                          for (int64_t c = 0; c < width; ++c) {
                            const int32_t hit = w0 * r0[c] + w1 * r1[c] + w2 * r2[c] > threshold;
                            out[c] += hit;
                            inside += hit;
                          }
                          area += inside;
                        });
        // std::atomic_ref came to LLVM's library with version 19 only.
        if (area != 0) __atomic_fetch_add(&areas[s], area, __ATOMIC_RELAXED);
      }
    }
  });
}

void resize_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float* resized) {
  const Operator op(geometry);
  const int64_t tiles = op.tiles_y() * op.tiles_x();
  parallel_for(n * tiles, 1, [&](int64_t begin, int64_t end) {
    std::vector<float> scratch;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t s = task / tiles;
      const Tile t = op.tile(task % tiles);
      const int64_t width = t.col1 - t.col0;
      op.for_each_row(
          logits + s * geometry.low * geometry.low, t, scratch,
          [&](int64_t row, const float* r0, const float* r1, const float* r2, float w0, float w1, float w2) {
            float* out = resized + (s * geometry.out_h + row) * geometry.out_w + t.col0;
            for (int64_t c = 0; c < width; ++c) out[c] = w0 * r0[c] + w1 * r1[c] + w2 * r2[c];
          });
    }
  });
}

}  // namespace asam
