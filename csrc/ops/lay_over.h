// Layers of plain colours over a picture, the first one lowest, each pixel of them over step x step of the
// picture's:
//
//   over(p) = p + (colour - p) alpha / 255,   p the picture, or what is laid over it already
//
// With step > 1 the colours stay in blocks and what the layers hide together is interpolated between blocks.
#pragma once

#include <cstdint>

namespace asam {

struct LayerShape {
  int64_t count = 0;
  int64_t h = 0, w = 0;                  // of the layers
  int64_t step = 1;                      // of the picture's pixels for one of theirs
  int64_t picture_h = 0, picture_w = 0;  // at most step times h and w

  // Throws std::invalid_argument that names what is at fault.
  void check() const;
};

// inputs
//   alpha    count of [h, w]
//   colour   [count, 3]
// outputs
//   picture  [picture_h, picture_w, 3], rows picture_stride apart, changed in place
void lay_over(const LayerShape& shape, const uint8_t* const* alpha, const uint8_t* colour, uint8_t* picture,
              int64_t picture_stride);

}  // namespace asam
