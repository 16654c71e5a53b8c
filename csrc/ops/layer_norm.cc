#include "ops/layer_norm.h"

#include "ops/dispatch.h"
#include "ops/layer_norm_kernel.h"

namespace asam {

#if defined(__x86_64__)
void layer_norm_avx2(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias,
                     float eps, float* y);
void layer_norm_avx512f(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias,
                        float eps, float* y);
#elif defined(__aarch64__)
void layer_norm_neon(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias,
                     float eps, float* y);
#endif

namespace {

void layer_norm_portable(const float* x, int64_t rows, int64_t n, const float* weight, const float* bias,
                         float eps, float* y) {
  simd::layer_norm_kernel<4>(x, rows, n, weight, bias, eps, y);
}

#if defined(__x86_64__)
constexpr Versions<LayerNormFn> kLayerNorm{layer_norm_portable, layer_norm_avx2, layer_norm_avx512f};
#elif defined(__aarch64__)
constexpr Versions<LayerNormFn> kLayerNorm{.portable = layer_norm_portable, .neon = layer_norm_neon};
#else
constexpr Versions<LayerNormFn> kLayerNorm{layer_norm_portable};
#endif

}  // namespace

LayerNormFn layer_norm_for(Isa isa) {
  return kLayerNorm.pick(isa);
}

}  // namespace asam
