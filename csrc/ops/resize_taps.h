// One row of the operator of ops/resize_masks.h, for the CPU and the GPU. Compiled without fused
// multiply-adds, so that both give the same bits.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace asam {

struct Interpolation {
  int64_t i0, i1;
  float w1;
};

// PyTorch's source index for align_corners = false, in float32 as there, so that weights agree to the last
// bit.
ASAM_HOST_DEVICE inline Interpolation interpolate_at(int64_t i, int64_t in, int64_t out) {
  const float scale = static_cast<float>(in) / static_cast<float>(out);
  const float position = scale * (static_cast<float>(i) + 0.5f) - 0.5f;
  const float inside = position > 0.0f ? position : 0.0f;
  const int64_t whole = static_cast<int64_t>(inside);
  const int64_t i0 = whole < in - 1 ? whole : in - 1;
  const int64_t i1 = i0 + 1 < in - 1 ? i0 + 1 : in - 1;
  const float w1 = inside - static_cast<float>(i0);
  return {i0, i1, w1 < 0.0f ? 0.0f : (w1 > 1.0f ? 1.0f : w1)};
}

// Side of the logits. From twice that on, float32 rounds the places of some neighbours in S to more than one
// low-resolution pixel apart, which three weights do not reach.
inline constexpr int64_t kMostLow = int64_t{1} << 14;

// out[i] = sum_{t < 3} weight[t] * in[first + t] along one axis.
struct ResizeTap {
  int32_t first;
  float weight[3];
};

ASAM_HOST_DEVICE inline ResizeTap compose_tap(int64_t i, int64_t low, int64_t side, int64_t input,
                                              int64_t out) {
  const Interpolation outer = interpolate_at(i, input, out);
  const Interpolation a = interpolate_at(outer.i0, low, side);
  const Interpolation b = interpolate_at(outer.i1, low, side);
  const int64_t first = a.i0 < low - 3 ? a.i0 : low - 3;
  double weight[3] = {0, 0, 0};
  const double wb = outer.w1, wa = 1.0 - wb;
  weight[a.i0 - first] += wa * (1.0 - a.w1);
  weight[a.i1 - first] += wa * a.w1;
  weight[b.i0 - first] += wb * (1.0 - b.w1);
  weight[b.i1 - first] += wb * b.w1;
  return {static_cast<int32_t>(first),
          {static_cast<float>(weight[0]), static_cast<float>(weight[1]), static_cast<float>(weight[2])}};
}

}  // namespace asam
