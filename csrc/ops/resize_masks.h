// Low-resolution logits [n, m, m] -> masks, counts or logits at the user's image size.
//
// SAM (Kirillov et al. 2023, postprocess_masks) does, with bilinear interpolation (align_corners = false):
//   up    = interpolate(logits, S x S)
//   crop  = up[: h, : w]                       (h, w): the image after its longest side was resized to S
//   out   = interpolate(crop, H x W)
// Each step is linear and acts on the rows and columns separately, so
//   out = Ry logits Rx',   Ry [H, m], Rx [W, m]   with at most three neighbouring non-zeros a row when m <=
//   S:
// two neighbouring pixels of S lie at most one low-resolution pixel apart. Neither the S x S map nor, for
// masks and counts, the H x W map of floats is ever stored.
#pragma once

#include <cstdint>
#include <vector>

namespace asam {

struct ResizeGeometry {
  int64_t low = 0;                   // m, side of the logits
  int64_t side = 0;                  // S
  int64_t input_h = 0, input_w = 0;  // h, w: at most S
  int64_t out_h = 0, out_w = 0;      // H, W

  // Throws std::invalid_argument that names the size at fault.
  void check() const;
};

// One axis of the composed operator: out[i] = sum_{t < 3} weight[t][i] * in[first[i] + t].
struct ResizeTaps {
  std::vector<int32_t> first;
  std::vector<float> weight[3];
};

ResizeTaps compose_taps(int64_t low, int64_t side, int64_t input, int64_t out);

// inputs
//   logits    [n, m, m]
// outputs
//   masks     [n, H, W]  1 where the resized logit > threshold, else 0
void masks_from_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                       uint8_t* masks);

// The same masks a bit a pixel, as ops/mask_pairs.h lays them out, without the bytes of a whole one.
//
// outputs
//   packed    [n, words]
void packed_masks_from_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                              uint64_t* packed);

// outputs
//   counts    [H, W]  how many of the n masks hold the pixel
//   areas     [n]     pixels in each mask
void mask_statistics(const float* logits, int64_t n, const ResizeGeometry& geometry, float threshold,
                     int32_t* counts, int64_t* areas);

// outputs
//   resized   [n, H, W]
void resize_logits(const float* logits, int64_t n, const ResizeGeometry& geometry, float* resized);

}  // namespace asam
