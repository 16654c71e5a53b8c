#include "ops/relative_attention.h"

#include <algorithm>

#include "ops/dispatch.h"
#include "ops/relative_attention_kernel.h"

namespace asam {

#if defined(__x86_64__)
void relative_attend_avx2(const RelativeAttentionShape& shape, const RelativePositions& positions,
                          const float* q, const float* k, const float* v, float* out, float* scratch);
void relative_attend_avx512f(const RelativeAttentionShape& shape, const RelativePositions& positions,
                             const float* q, const float* k, const float* v, float* out, float* scratch);
#elif defined(__aarch64__)
void relative_attend_neon(const RelativeAttentionShape& shape, const RelativePositions& positions,
                          const float* q, const float* k, const float* v, float* out, float* scratch);
#endif

namespace {

void relative_attend_portable(const RelativeAttentionShape& shape, const RelativePositions& positions,
                              const float* q, const float* k, const float* v, float* out, float* scratch) {
  simd::relative_attend_kernel<4, 6>(shape, positions, q, k, v, out, scratch);
}

#if defined(__x86_64__)
constexpr Versions<RelativeAttendFn> kRelativeAttend{relative_attend_portable, relative_attend_avx2,
                                                     relative_attend_avx512f};
#elif defined(__aarch64__)
constexpr Versions<RelativeAttendFn> kRelativeAttend{.portable = relative_attend_portable,
                                                     .neon = relative_attend_neon};
#else
constexpr Versions<RelativeAttendFn> kRelativeAttend{relative_attend_portable};
#endif

}  // namespace

int64_t relative_attention_scratch(const RelativeAttentionShape& s) {
  const int64_t width = (s.queries + simd::kQueryStep - 1) / simd::kQueryStep * simd::kQueryStep;
  const int64_t rows = s.dim + 4 * s.window + s.high * s.wide + 3;
  return std::max(rows * width, s.window * s.window);  // the second for the reference
}

RelativeAttendFn relative_attend_for(Isa isa) {
  return kRelativeAttend.pick(isa);
}

}  // namespace asam
