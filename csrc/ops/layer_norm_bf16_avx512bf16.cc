#if defined(__x86_64__)

#include "ops/bf16_simd.h"
#include "ops/gelu_kernel.h"
#include "ops/layer_norm_bf16.h"

namespace asam {

void layer_norm_bf16_avx512bf16(const float* x, int64_t rows, int64_t n, const float* weight,
                                const float* bias, float eps, const NormBf16Result& y) {
  using F = simd::Float<16>;
  const float count = static_cast<float>(n);
  for (int64_t r = 0; r < rows; ++r) {
    const float* row = x + r * n;
    F total{};
    for (int64_t i = 0; i < n; i += 16) total += simd::load_first(row + i, n - i);
    const F mean = simd::sum_to_all(total) / count;
    F squares{};
    for (int64_t i = 0; i < n; i += 16) {
      F d = simd::load_first(row + i, n - i) - mean;
      if (n - i < 16) d = (F)_mm512_maskz_mov_ps(simd::first_lanes(n - i), (__m512)d);
      squares += d * d;
    }
    const F variance = simd::sum_to_all(squares) / count + eps;
    const F scale = 1.0f / (F)_mm512_maskz_sqrt_ps(0xffff, (__m512)variance);
    for (int64_t i = 0; i < n; i += 16) {
      const int64_t left = n - i, at = r * n + i;
      F value = (simd::load_first(row + i, left) - mean) * scale;
      value = value * simd::load_first(weight + i, left) + simd::load_first(bias + i, left);
      if (y.gelu) value = simd::gelu<16>(value);
      if (y.wide) simd::store_first(y.wide + at, value, left);
      if (y.narrow) simd::store_first_bf16(y.narrow + at, value, left);
      if (y.narrow_plus) {
        const F plus = simd::load_first(y.plus + r % y.plus_rows * n + i, left);
        simd::store_first_bf16(y.narrow_plus + at, value + plus, left);
      }
    }
  }
}

}  // namespace asam

#endif
