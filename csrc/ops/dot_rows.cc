#include "ops/dot_rows.h"

#include "ops/dispatch.h"
#include "ops/dot_rows_kernel.h"

namespace asam {

#if defined(__x86_64__)
void dot_rows_avx2(const float* x, int64_t rows, int64_t n, const float* h, float* y);
void dot_rows_avx512f(const float* x, int64_t rows, int64_t n, const float* h, float* y);
#elif defined(__aarch64__)
void dot_rows_neon(const float* x, int64_t rows, int64_t n, const float* h, float* y);
#endif

namespace {

void dot_rows_portable(const float* x, int64_t rows, int64_t n, const float* h, float* y) {
  simd::dot_rows_kernel<4>(x, rows, n, h, y);
}

#if defined(__x86_64__)
constexpr Versions<DotRowsFn> kDotRows{dot_rows_portable, dot_rows_avx2, dot_rows_avx512f};
#elif defined(__aarch64__)
constexpr Versions<DotRowsFn> kDotRows{.portable = dot_rows_portable, .neon = dot_rows_neon};
#else
constexpr Versions<DotRowsFn> kDotRows{dot_rows_portable};
#endif

}  // namespace

DotRowsFn dot_rows_for(Isa isa) {
  return kDotRows.pick(isa);
}

}  // namespace asam
