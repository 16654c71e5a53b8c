#include "ops/resize_image.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "core/errors.h"
#include "core/isa.h"
#include "core/threads.h"

namespace asam {
namespace {

constexpr int64_t kMostSide = int64_t{1} << 20;
constexpr int64_t kGrainBytes = int64_t{1} << 17;  // less is done before another thread is awake

int64_t rows_a_thread(int64_t bytes_each) {
  return kGrainBytes / (bytes_each + 1) + 1;
}

std::unique_ptr<uint8_t[]> room(int64_t size) {
  return std::make_unique_for_overwrite<uint8_t[]>(static_cast<size_t>(size));
}

}  // namespace

BilinearTaps::BilinearTaps(int64_t in, int64_t out) : out_(out) {
  const double scale = static_cast<double>(in) / static_cast<double>(out), support = std::max(scale, 1.0);
  most_ = static_cast<int64_t>(std::ceil(support)) * 2 + 2;
  weight_.assign(static_cast<size_t>(out * most_), 0);
  std::vector<double> share(static_cast<size_t>(most_));
  for (int64_t i = 0; i < out; ++i) {
    const double centre = (static_cast<double>(i) + 0.5) * scale;
    const auto first = std::max(static_cast<int64_t>(centre - support + 0.5), int64_t{0});
    const auto count = std::min(static_cast<int64_t>(centre + support + 0.5), in) - first;
    double sum = 0.0;
    for (int64_t t = 0; t < count; ++t) {
      const double distance = std::abs((static_cast<double>(t + first) - centre + 0.5) * (1.0 / support));
      share[static_cast<size_t>(t)] = distance < 1.0 ? 1.0 - distance : 0.0;
      sum += share[static_cast<size_t>(t)];
    }
    for (int64_t t = 0; t < count; ++t) {
      const double part = sum != 0.0 ? share[static_cast<size_t>(t)] / sum : 0.0;
      weight_[static_cast<size_t>(i * most_ + t)] = static_cast<int32_t>(0.5 + part * (1 << kFilterBits));
    }
    first_.push_back(static_cast<int32_t>(first));
    count_.push_back(static_cast<int32_t>(count));
  }
}

void resize_image(const uint8_t* image, ImageSize from, ImageSize to, uint8_t* resized) {
  for (const int64_t side : {from.h, from.w, to.h, to.w}) {
    require(side >= 1 && side <= kMostSide, "expected sides of 1 to ", kMostSide, " pixels, got ", side);
  }
  const FilterRows& kernel = filter_rows_for(active_isa());
  std::unique_ptr<uint8_t[]> narrow;
  if (from.w != to.w) {
    const BilinearTaps across(from.w, to.w);
    const FilterTaps taps = across.taps();
    const bool last = from.h == to.h;
    if (!last) narrow = room(from.h * to.w * kColours);
    uint8_t* const rows = last ? resized : narrow.get();
    parallel_for(from.h, rows_a_thread(from.w * kColours), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        kernel.along(image + r * from.w * kColours, from.w, taps, rows + r * to.w * kColours);
      }
    });
    if (last) return;
  }
  const uint8_t* const rows = narrow ? narrow.get() : image;
  const int64_t n = to.w * kColours;
  if (from.h == to.h) {
    std::copy_n(rows, to.h * n, resized);
    return;
  }
  const BilinearTaps upright(from.h, to.h);
  const FilterTaps taps = upright.taps();
  parallel_for(to.h, rows_a_thread(n * taps.most), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernel.down(rows + taps.first[i] * n, n, taps.weight + i * taps.most, taps.count[i], resized + i * n);
    }
  });
}

void model_input(const uint8_t* pixels, ImageSize size, int64_t side, const float* table, float* input) {
  require(size.h >= 1 && size.w >= 1 && size.h <= side && size.w <= side && side <= kMostSide,
          "expected a picture of 1 to ", side, " pixels a side, got ", size.h, " x ", size.w);
  parallel_for(kColours * side, rows_a_thread(side * 4), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t colour = row / side, y = row % side;
      float* const to = input + row * side;
      const int64_t width = y < size.h ? size.w : 0;
      const uint8_t* const from = pixels + y * size.w * kColours + colour;
      for (int64_t x = 0; x < width; ++x) to[x] = table[colour * 256 + from[x * kColours]];
      std::fill(to + width, to + side, 0.0f);
    }
  });
}

}  // namespace asam
