#if defined(__x86_64__)

#include "ops/avx512_simd.h"
#include "ops/resize_rows_kernel.h"

namespace asam {
namespace {

constexpr int kLanes = 16;
using F = simd::Float<kLanes>;

// Where rows grow, neighbouring pixels read from a few numbers: they are shuffled out of one vector.
void along(const float* x, const int32_t* first, const float* const* weight, int64_t n, float* y) {
  const float* const end = x + first[n - 1] + 3;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const float* const p = x + first[i];
    if (first[i + kLanes - 1] + 2 - first[i] < kLanes) {
      const auto window = (__m512)simd::load_first(p, end - p);
      const __m512i at = _mm512_sub_epi32(_mm512_loadu_si512(first + i), _mm512_set1_epi32(first[i]));
      const auto taken = [&](int tap) {
        return (F)_mm512_maskz_permutexvar_ps(0xffff, _mm512_add_epi32(at, _mm512_set1_epi32(tap)), window);
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

const ResizeRows kResizeRowsAvx512f{along, simd::values_down<kLanes>, simd::mask_down,
                                    simd::count_down<kLanes>};

}  // namespace asam

#endif
