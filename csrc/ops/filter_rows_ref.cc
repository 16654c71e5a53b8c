#include <algorithm>

#include "ops/filter_rows.h"

namespace asam {
namespace {

constexpr int32_t kHalf = 1 << (kFilterBits - 1);

uint8_t rounded(int32_t sum) {
  return static_cast<uint8_t>(std::clamp(sum >> kFilterBits, 0, 255));
}

void along(const uint8_t* x, int64_t, const FilterTaps& taps, uint8_t* y) {
  for (int64_t i = 0; i < taps.out; ++i, y += kColours) {
    const uint8_t* from = x + taps.first[i] * kColours;
    const int32_t* weight = taps.weight + i * taps.most;
    const int32_t count = taps.count[i];
    int32_t sum[kColours] = {kHalf, kHalf, kHalf};
    for (int32_t t = 0; t < count; ++t, from += kColours) {
      for (int64_t c = 0; c < kColours; ++c) sum[c] += weight[t] * from[c];
    }
    for (int64_t c = 0; c < kColours; ++c) y[c] = rounded(sum[c]);
  }
}

void down(const uint8_t* x, int64_t n, const int32_t* weights, int64_t count, uint8_t* y) {
  for (int64_t i = 0; i < n; ++i) {
    int32_t sum = kHalf;
    for (int64_t t = 0; t < count; ++t) sum += weights[t] * x[t * n + i];
    y[i] = rounded(sum);
  }
}

}  // namespace

const FilterRows kFilterRowsReference{along, down};

}  // namespace asam
