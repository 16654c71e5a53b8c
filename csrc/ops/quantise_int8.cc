#include "ops/quantise_int8.h"

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void quantise_int8_avx2(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                        int64_t y_stride, float* scale, int32_t* zero);
void quantise_int8_avx512vnni(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                              int64_t y_stride, float* scale, int32_t* zero);
#elif defined(__aarch64__)
void quantise_int8_neon(const float* x, int64_t x_stride, int64_t rows, int64_t n, uint8_t* y,
                        int64_t y_stride, float* scale, int32_t* zero);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<QuantiseInt8Fn> kQuantiseInt8{
    .portable = quantise_int8_ref, .avx2 = quantise_int8_avx2, .avx512vnni = quantise_int8_avx512vnni};
#elif defined(__aarch64__)
constexpr Versions<QuantiseInt8Fn> kQuantiseInt8{.portable = quantise_int8_ref, .neon = quantise_int8_neon};
#else
constexpr Versions<QuantiseInt8Fn> kQuantiseInt8{quantise_int8_ref};
#endif

}  // namespace

QuantiseInt8Fn quantise_int8_for(Isa isa) {
  return kQuantiseInt8.pick(isa);
}

}  // namespace asam
