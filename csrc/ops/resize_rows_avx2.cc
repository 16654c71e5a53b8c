#if defined(__x86_64__)

#include <immintrin.h>

#include "ops/resize_rows_kernel.h"

namespace asam {
namespace {

constexpr int kLanes = 8;
using F = simd::Float<kLanes>;

// Where rows grow, neighbouring pixels read from a few numbers: they are shuffled out of one vector.
void along(const float* x, const int32_t* first, const float* const* weight, int64_t n, float* y) {
  const float* const end = x + first[n - 1] + 3;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const float* const p = x + first[i];
    if (first[i + kLanes - 1] + 2 - first[i] < kLanes && end - p >= kLanes) {
      const __m256 window = _mm256_loadu_ps(p);
      const __m256i at =
          _mm256_sub_epi32(_mm256_loadu_si256((const __m256i*)(first + i)), _mm256_set1_epi32(first[i]));
      const auto taken = [&](int tap) {
        return (F)_mm256_permutevar8x32_ps(window, _mm256_add_epi32(at, _mm256_set1_epi32(tap)));
      };
      const F sum = simd::load<kLanes>(weight[0] + i) * taken(0) +
                    simd::load<kLanes>(weight[1] + i) * taken(1) +
                    simd::load<kLanes>(weight[2] + i) * taken(2);
      simd::store<kLanes>(y + i, sum);
    } else {
      for (int64_t j = i; j < i + kLanes; ++j) y[j] = simd::along_one(x, first, weight, j);
    }
  }
  for (; i < n; ++i) y[i] = simd::along_one(x, first, weight, i);
}

}  // namespace

const ResizeRows kResizeRowsAvx2{along, simd::values_down<kLanes>, simd::mask_down, simd::count_down<kLanes>};

}  // namespace asam

#endif
