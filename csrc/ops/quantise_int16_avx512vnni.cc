#if defined(__x86_64__)

#include "ops/avx512_simd.h"
#include "ops/quantise_int16.h"

namespace asam {
namespace {

using F = simd::Float<16>;
constexpr int64_t kRows = 8;  // together, so that one's sums are on their way while the next is read

// Norm and largest number, by size, of a row times `factor`.
struct Size {
  float norm, largest;
};

ASAM_INLINE Size size_of(const float* x, int64_t n, float factor) {
  F squares[2]{}, highs[2]{};  // two sums, since one would wait for itself
  const auto add = [&](int64_t i, int sum) __attribute__((always_inline)) {
    const F v = simd::load_first(x + i, n - i) * factor;
    squares[sum] += v * v;
    highs[sum] = simd::max<16>(highs[sum], (F)_mm512_abs_ps((__m512)v));
  };
  int64_t i = 0;
  for (; i + 32 <= n; i += 32) {
    add(i, 0);
    add(i + 16, 1);
  }
  for (; i < n; i += 16) add(i, 0);
  return {__builtin_sqrtf(simd::sum_to_all(squares[0] + squares[1])[0]),
          simd::max_to_all(simd::max<16>(highs[0], highs[1]))[0]};
}

// 1 for a row of next to nothing, NaN for one that is not finite.
ASAM_INLINE float scale_of(const float* x, int64_t n, Size size) {
  const float count = static_cast<float>(n);
  // No square that counts left the range of float32.
  if (size.norm > 1e-10f && size.norm < 1e15f) return int16_scale(size.largest, size.norm, count);
  if (!(size.largest < __builtin_inff() && size.norm == size.norm)) return __builtin_nanf("");
  if (size.largest < kLeastRange) return 1.0f;
  return size.largest * int16_scale(1.0f, size_of(x, n, 1.0f / size.largest).norm, count);
}

// Zeros where the scale is NaN.
ASAM_INLINE void round_row(const float* x, int64_t n, float scale, int16_t* y) {
  const float steps = scale == scale ? 1.0f / scale : 0.0f;
  const __mmask16 any = scale == scale ? 0xffff : 0;
  for (int64_t i = 0; i < n; i += 16) {
    const F v = simd::load_first(x + i, n - i) * steps;
    const __m512i level = _mm512_maskz_cvtps_epi32(any, (__m512)v);
    _mm512_mask_cvtsepi32_storeu_epi16(y + i, simd::first_lanes(n - i), level);
  }
}

}  // namespace

void quantise_int16_avx512vnni(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                               int64_t y_stride, float* scale) {
  for (int64_t first = 0; first < rows; first += kRows) {
    const int64_t end = first + kRows < rows ? first + kRows : rows;
    Size sizes[kRows];
    for (int64_t r = first; r < end; ++r) sizes[r - first] = size_of(x + r * x_stride, n, 1.0f);
    for (int64_t r = first; r < end; ++r) scale[r] = scale_of(x + r * x_stride, n, sizes[r - first]);
    for (int64_t r = first; r < end; ++r) round_row(x + r * x_stride, n, scale[r], y + r * y_stride);
  }
}

}  // namespace asam

#endif
