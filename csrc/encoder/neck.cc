#include "encoder/neck.h"

#include <algorithm>

namespace asam {
namespace {

// Rows of the 3 x 3 convolution: a cell's neighbours and itself, zeros beyond the grid.
void gather_neighbours(const float* map, int64_t e, int64_t c, const float* zeros, int64_t begin, int64_t end,
                       Rows& to) {
  for (int64_t cell = begin; cell < end; ++cell) {
    for (int64_t tap = 0; tap < 9; ++tap) {
      const int64_t y = cell / e + tap / 3 - 1, x = cell % e + tap % 3 - 1;
      const bool inside = y >= 0 && y < e && x >= 0 && x < e;
      to.store(cell, tap * c, inside ? map + (y * e + x) * c : zeros, c);
    }
  }
}

}  // namespace

NeckWeights NeckWeights::load(EncoderReader& reader, int64_t grid, int64_t width, int64_t channels,
                              Precision precision) {
  NeckWeights out;
  out.grid = grid;
  out.narrow = reader.projection_without_bias("neck.0", width, channels, precision);
  out.norm0 = reader.norm("neck.1", channels);
  out.mix = reader.projection_without_bias("neck.2", 9 * channels, channels, precision);
  out.norm1 = reader.norm("neck.3", channels);
  return out;
}

NeckWorkspace::NeckWorkspace(const NeckWeights& weights, Precision precision, int most_threads) {
  const int64_t cell_count = weights.grid * weights.grid, c = weights.narrow.out();
  cells = Rows(cell_count, weights.narrow.in(), precision);
  neighbours = Rows(cell_count, 9 * c, precision);
  map = Buffer(cell_count * c);
  for (int i = 0; i < most_threads; ++i) row.emplace_back(c);
}

void run_neck(const TeamMember& member, const Kernels& kernels, const NeckWeights& weights, const float* x,
              NeckWorkspace& workspace, float* embedding) {
  const int64_t e = weights.grid, cells = e * e, d = weights.narrow.in(), c = weights.narrow.out();
  float* map = workspace.map.data();
  float* own = workspace.row[static_cast<size_t>(member.index)].data();
  member.share(cells, [&](int64_t begin, int64_t end) {
    for (int64_t cell = begin; cell < end; ++cell) workspace.cells.store(cell, 0, x + cell * d, d);
    workspace.cells.complete(kernels, begin, end - begin);
  });
  member.wait();
  weights.narrow.run(member, kernels, workspace.cells, cells, map);
  member.wait();
  member.share(cells, [&](int64_t begin, int64_t end) {
    float* rows = map + begin * c;
    kernels.layer_norm(rows, end - begin, c, weights.norm0.weight.data(), weights.norm0.bias.data(), kNeckEps,
                       rows);
  });
  member.wait();
  std::fill_n(own, c, 0.0f);
  member.share(cells, [&](int64_t begin, int64_t end) {
    gather_neighbours(map, e, c, own, begin, end, workspace.neighbours);
    workspace.neighbours.complete(kernels, begin, end - begin);
  });
  member.wait();
  weights.mix.run(member, kernels, workspace.neighbours, cells, map);
  member.wait();
  member.share(cells, [&](int64_t begin, int64_t end) {
    for (int64_t cell = begin; cell < end; ++cell) {
      kernels.layer_norm(map + cell * c, 1, c, weights.norm1.weight.data(), weights.norm1.bias.data(),
                         kNeckEps, own);
      for (int64_t i = 0; i < c; ++i) embedding[i * cells + cell] = own[i];
    }
  });
}

}  // namespace asam
