#include "ops/quantise_row.h"

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void quantise_row_avx512bf16(const float* x, int64_t n, uint8_t* y, float* scale, int32_t* zero);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<QuantiseRowFn> kQuantiseRow{.portable = quantise_row_ref,
                                               .avx512bf16 = quantise_row_avx512bf16};
#else
constexpr Versions<QuantiseRowFn> kQuantiseRow{quantise_row_ref};
#endif

}  // namespace

QuantiseRowFn quantise_row_for(Isa isa) {
  return kQuantiseRow.pick(isa);
}

}  // namespace asam
