#include "ops/upscale.h"

#include <algorithm>

namespace asam {
namespace {

constexpr int64_t kCells = 12;       // their intermediate values stay in the first-level cache
constexpr int64_t kPixels = 16;      // logits a cell
constexpr float kNorm2dEps = 1e-6f;  // SAM's LayerNorm2d

}  // namespace

int64_t upscale_scratch(int64_t channels) {
  return kCells * (2 * channels + 2 * channels + kPixels);
}

template <class Act>
void upscale_cells(const Arithmetic<Act>& ops, const UpscaleWeights& weights, int64_t grid, const Act* src,
                   int64_t begin, int64_t end, const float* hyper, int64_t masks, float* logits,
                   float* scratch) {
  const int64_t channels = weights.first.in();
  const int64_t quarter = channels / 4, eighth = channels / 8;
  float* coarse = scratch;                                           // [cells * 4, C/4]
  Act* normed = reinterpret_cast<Act*>(coarse + kCells * channels);  // [cells * 4, C/4]
  float* fine = coarse + 2 * kCells * channels;                      // [cells * 16, C/8]
  float* pixels = fine + kCells * 2 * channels;                      // [cells, dy0, dx0, dy1, dx1]
  for (int64_t start = begin; start < end; start += kCells) {
    const int64_t cells = std::min(kCells, end - start);
    ops.matmul(src + start * channels, channels, cells, weights.first, {.bias = weights.first_bias.data()},
               {.wide = coarse, .wide_stride = channels});
    ops.norm(coarse, cells * 4, quarter, weights.norm_weight.data(), weights.norm_bias.data(), kNorm2dEps,
             {.act = normed, .gelu = true});
    ops.matmul(normed, quarter, cells * 4, weights.second, {.bias = weights.second_bias.data(), .gelu = true},
               {.wide = fine, .wide_stride = channels / 2});
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

template void upscale_cells(const Arithmetic<float>&, const UpscaleWeights&, int64_t, const float*, int64_t,
                            int64_t, const float*, int64_t, float*, float*);
template void upscale_cells(const Arithmetic<Bf16>&, const UpscaleWeights&, int64_t, const Bf16*, int64_t,
                            int64_t, const float*, int64_t, float*, float*);

}  // namespace asam
