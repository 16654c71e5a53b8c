#include "ops/lay_over.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

#include "core/errors.h"
#include "core/threads.h"

namespace asam {
namespace {

constexpr int64_t kTogether = 8;   // pixels of a layer that are looked at with one load
constexpr int64_t kRowGrain = 32;  // rows below which another thread is not woken

// What layers make together of what is below: p (1 - hidden) + light.
struct Seen {
  float hidden = 0.0f;
  std::array<float, 3> light{};
};

class Layers {
 public:
  Layers(const LayerShape& shape, const uint8_t* const* alpha, const uint8_t* colour)
      : shape_(shape), alpha_(alpha), colour_(colour) {}

  Seen at(int64_t y, int64_t x) const {
    Seen seen;
    for (int64_t i = 0; i < shape_.count; ++i) {
      const uint8_t alpha = alpha_[i][y * shape_.w + x];
      if (alpha == 0) continue;
      const float share = static_cast<float>(alpha) * (1.0f / 255.0f);
      seen.hidden += (1.0f - seen.hidden) * share;
      for (size_t c = 0; c < 3; ++c) {
        const auto colour = static_cast<float>(colour_[static_cast<size_t>(i) * 3 + c]);
        seen.light[c] += (colour - seen.light[c]) * share;
      }
    }
    return seen;
  }

  // Whether nothing is laid over kTogether pixels from (y, x) on.
  bool clear(int64_t y, int64_t x) const {
    uint64_t any = 0;
    for (int64_t i = 0; i < shape_.count; ++i) {
      uint64_t some;
      std::memcpy(&some, alpha_[i] + y * shape_.w + x, kTogether);
      any |= some;
    }
    return any == 0;
  }

  void row(int64_t y, std::vector<Seen>& to) const {
    for (int64_t x = 0; x < shape_.w; ++x) to[static_cast<size_t>(x)] = at(y, x);
  }

 private:
  const LayerShape& shape_;
  const uint8_t* const* alpha_;
  const uint8_t* colour_;
};

// Where a picture's row or column lies between blocks: in one, nearer to it than to the next by 1 - far.
struct Between {
  int64_t near, next;
  float far;
};

Between between(int64_t i, int64_t step, int64_t blocks) {
  const int64_t near = i / step, beside = 2 * (i % step) + 1 - step;  // in halves of a pixel from its middle
  const int64_t next = std::clamp<int64_t>(near + (beside > 0 ? 1 : -1), 0, blocks - 1);
  return {near, next, static_cast<float>(std::abs(beside)) / static_cast<float>(2 * step)};
}

void blend(const Seen& seen, float hidden, uint8_t* pixel) {
  if (hidden == 0.0f) return;
  const float scale = hidden / std::max(seen.hidden, 1e-6f);
  for (size_t c = 0; c < 3; ++c) {
    const float value = static_cast<float>(pixel[c]) * (1.0f - hidden) + seen.light[c] * scale;
    pixel[c] = static_cast<uint8_t>(std::min(value + 0.5f, 255.0f));
  }
}

}  // namespace

void LayerShape::check() const {
  require(count >= 0 && h >= 1 && w >= 1, "alpha: expected layers of at least one pixel, got ", count, " of ",
          h, " x ", w);
  require(step >= 1 && step <= 1 << 16, "step: expected 1 to 65536, got ", step);
  require(picture_h >= 0 && picture_h <= h * step && picture_w >= 0 && picture_w <= w * step,
          "picture: expected at most ", h * step, " x ", w * step,
          " pixels, as many as the layers cover, got ", picture_h, " x ", picture_w);
}

void lay_over(const LayerShape& shape, const uint8_t* const* alpha, const uint8_t* colour, uint8_t* picture,
              int64_t picture_stride) {
  shape.check();
  const Layers layers(shape, alpha, colour);
  const int64_t width = shape.picture_w, step = shape.step;
  if (step == 1) {
    parallel_for(shape.picture_h, kRowGrain, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y) {
        for (int64_t x = 0; x < width;) {
          if (x + kTogether <= width && layers.clear(y, x)) {
            x += kTogether;
            continue;
          }
          for (const int64_t end_of_some = std::min(x + kTogether, width); x < end_of_some; ++x) {
            const Seen seen = layers.at(y, x);
            blend(seen, seen.hidden, picture + y * picture_stride + x * 3);
          }
        }
      }
    });
    return;
  }
  parallel_for(shape.picture_h, kRowGrain, [&](int64_t begin, int64_t end) {
    std::vector<Seen> near(static_cast<size_t>(shape.w)), next(near);
    int64_t near_row = -1, next_row = -1;
    for (int64_t y = begin; y < end; ++y) {
      const Between rows = between(y, step, shape.h);
      if (rows.near != near_row) layers.row(near_row = rows.near, near);
      if (rows.next != next_row) layers.row(next_row = rows.next, next);
      const auto hidden = [&](int64_t x) {
        const auto at = static_cast<size_t>(x);
        return near[at].hidden + (next[at].hidden - near[at].hidden) * rows.far;
      };
      for (int64_t x = 0; x < width; ++x) {
        const Between columns = between(x, step, shape.w);
        const float here = hidden(columns.near);
        blend(near[static_cast<size_t>(columns.near)], here + (hidden(columns.next) - here) * columns.far,
              picture + y * picture_stride + x * 3);
      }
    }
  });
}

}  // namespace asam
