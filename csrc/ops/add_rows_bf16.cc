#include "ops/add_rows_bf16.h"

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void add_rows_bf16_avx512bf16(const float* x, int64_t rows, int64_t n, const float* row, int64_t row_count,
                              bool relu, Bf16* y);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<AddRowsBf16Fn> kAddRowsBf16{.portable = add_rows_bf16_ref,
                                               .avx512bf16 = add_rows_bf16_avx512bf16};
#else
constexpr Versions<AddRowsBf16Fn> kAddRowsBf16{add_rows_bf16_ref};
#endif

}  // namespace

AddRowsBf16Fn add_rows_bf16_for(Isa isa) {
  return kAddRowsBf16.pick(isa);
}

}  // namespace asam
