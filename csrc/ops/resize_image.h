// A user's picture -> what the image encoder takes.
//
// Resized as SAM does (Kirillov et al. 2023, ResizeLongestSide), which is Pillow's bilinear filter, to the
// bit. Along each axis, first the rows, then the columns, with in -> out pixels and s = in / out,
//
//   y[i] = sum_j w(i, j) x[j] / sum_j w(i, j),   w(i, j) = max(0, 1 - |j + 1/2 - (i + 1/2) s| / max(s, 1))
//
// each time in whole numbers, as ops/filter_rows.h says.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/filter_rows.h"

namespace asam {

struct ImageSize {
  int64_t h = 0, w = 0;
};

// Taps of in -> out pixels.
class BilinearTaps {
 public:
  BilinearTaps(int64_t in, int64_t out);

  int64_t most() const { return most_; }
  FilterTaps taps() const { return {first_.data(), count_.data(), weight_.data(), out_, most_}; }

 private:
  int64_t out_, most_;
  std::vector<int32_t> first_, count_, weight_;
};

// inputs
//   image    [from.h, from.w, 3]
// outputs
//   resized  [to.h, to.w, 3]
// Sides of 1 .. 2^20, else std::invalid_argument.
void resize_image(const uint8_t* image, ImageSize from, ImageSize to, uint8_t* resized);

// inputs
//   pixels  [size.h, size.w, 3]
//   table   [3, 256], what a colour's values become
// outputs
//   input   [3, side, side], zero beyond the picture in its top left corner
void model_input(const uint8_t* pixels, ImageSize size, int64_t side, const float* table, float* input);

}  // namespace asam
