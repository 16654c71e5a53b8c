#include "ops/upscale.h"

#include <algorithm>

namespace asam {
namespace {

constexpr int64_t kCells = 12;       // their intermediate values stay in the first-level cache
constexpr int64_t kPixels = 16;      // logits a cell
constexpr float kNorm2dEps = 1e-6f;  // SAM's LayerNorm2d

}  // namespace

int64_t upscale_scratch(int64_t channels) {
  return kCells * (channels + 2 * channels + kPixels);
}

void upscale_cells(const Arithmetic& ops, const UpscaleWeights& weights, int64_t grid, const float* src,
                   int64_t begin, int64_t end, const float* hyper, int64_t masks, float* logits,
                   float* scratch) {
  const int64_t channels = weights.first.in();
  const int64_t quarter = channels / 4, eighth = channels / 8;
  float* coarse = scratch;                       // [cells * 4, C/4]
  float* fine = coarse + kCells * channels;      // [cells * 16, C/8]
  float* pixels = fine + kCells * 2 * channels;  // [cells, dy0, dx0, dy1, dx1]
  for (int64_t start = begin; start < end; start += kCells) {
    const int64_t cells = std::min(kCells, end - start);
    ops.matmul(src + start * channels, channels, cells, weights.first, {.bias = weights.first_bias.data()},
               coarse, channels);
    ops.norm(coarse, cells * 4, quarter, weights.norm_weight.data(), weights.norm_bias.data(), kNorm2dEps,
             coarse);
    ops.gelu(coarse, cells * channels);
    ops.matmul(coarse, quarter, cells * 4, weights.second, {.bias = weights.second_bias.data(), .gelu = true},
               fine, channels / 2);
    for (int64_t mask = 0; mask < masks; ++mask) {
      ops.dot_rows(fine, cells * kPixels, eighth, hyper + mask * eighth, pixels);
      float* to = logits + mask * kPixels * grid * grid;
      for (int64_t cell = 0; cell < cells; ++cell) {
        const int64_t y = (start + cell) / grid, x = (start + cell) % grid;
        for (int64_t pixel = 0; pixel < kPixels; ++pixel) {
          const int64_t dy = (pixel >> 3 & 1) * 2 + (pixel >> 1 & 1);
          const int64_t dx = (pixel >> 2 & 1) * 2 + (pixel & 1);
          to[(4 * y + dy) * 4 * grid + 4 * x + dx] = pixels[cell * kPixels + pixel];
        }
      }
    }
  }
}

}  // namespace asam
