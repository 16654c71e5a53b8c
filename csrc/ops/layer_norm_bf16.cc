#include "ops/layer_norm_bf16.h"

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void layer_norm_bf16_avx512bf16(const float* x, int64_t rows, int64_t n, const float* weight,
                                const float* bias, float eps, const NormBf16Result& y);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<LayerNormBf16Fn> kLayerNormBf16{.portable = layer_norm_bf16_ref,
                                                   .avx512bf16 = layer_norm_bf16_avx512bf16};
#else
constexpr Versions<LayerNormBf16Fn> kLayerNormBf16{layer_norm_bf16_ref};
#endif

}  // namespace

LayerNormBf16Fn layer_norm_bf16_for(Isa isa) {
  return kLayerNormBf16.pick(isa);
}

}  // namespace asam
