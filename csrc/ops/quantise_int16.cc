#include "ops/quantise_int16.h"

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void quantise_int16_avx2(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                         int64_t y_stride, float* scale);
void quantise_int16_avx512vnni(const float* x, int64_t x_stride, int64_t rows, int64_t n, int16_t* y,
                               int64_t y_stride, float* scale);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<QuantiseInt16Fn> kQuantiseInt16{
    .portable = quantise_int16_ref, .avx2 = quantise_int16_avx2, .avx512vnni = quantise_int16_avx512vnni};
#else
constexpr Versions<QuantiseInt16Fn> kQuantiseInt16{quantise_int16_ref};
#endif

}  // namespace

QuantiseInt16Fn quantise_int16_for(Isa isa) {
  return kQuantiseInt16.pick(isa);
}

}  // namespace asam
