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
void relative_attend_int16_avx2(const RelativeAttentionShape& shape, const RelativePositions& positions,
                                const float* q, const float* k, const float* v, float* out, float* scratch);
void relative_attend_int16_avxvnni(const RelativeAttentionShape& shape, const RelativePositions& positions,
                                   const float* q, const float* k, const float* v, float* out,
                                   float* scratch);
void relative_attend_int16_avx512vnni(const RelativeAttentionShape& shape, const RelativePositions& positions,
                                      const float* q, const float* k, const float* v, float* out,
                                      float* scratch);
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
constexpr Versions<RelativeAttendFn> kRelativeAttendInt16{.portable = relative_attend_portable,
                                                          .avx2 = relative_attend_int16_avx2,
                                                          .avx512vnni = relative_attend_int16_avx512vnni,
                                                          .avxvnni = relative_attend_int16_avxvnni};
#elif defined(__aarch64__)
constexpr Versions<RelativeAttendFn> kRelativeAttend{.portable = relative_attend_portable,
                                                     .neon = relative_attend_neon};
constexpr Versions<RelativeAttendFn> kRelativeAttendInt16 = kRelativeAttend;
#else
constexpr Versions<RelativeAttendFn> kRelativeAttend{relative_attend_portable};
constexpr Versions<RelativeAttendFn> kRelativeAttendInt16 = kRelativeAttend;
#endif

}  // namespace

int64_t relative_attention_scratch(const RelativeAttentionShape& s) {
  const int64_t queries = std::min(s.queries, kRelativeQueries), keys = s.high * s.wide;
  const int64_t width = (queries + simd::kQueryStep - 1) / simd::kQueryStep * simd::kQueryStep;
  const int64_t floats = (s.dim + 4 * s.window + keys + 3) * width;
  // See WordRoom; two numbers take the room of a float, and each part is rounded up to a cache line.
  const int64_t blocks = (keys + kRelativeKeys - 1) / kRelativeKeys;
  const int64_t once = keys * (s.dim + 3) + blocks * (3 * s.dim);
  const int64_t rows = 3 * s.dim + 4 * s.window + 2 * kRelativeKeys + 9;
  const int64_t words = once + rows * width + 19 * 16;
  return std::max({floats, words, s.window * s.window});  // the last for the reference
}

RelativeAttendFn relative_attend_for(Isa isa) {
  return kRelativeAttend.pick(isa);
}

RelativeAttendFn relative_attend_int16_for(Isa isa) {
  return kRelativeAttendInt16.pick(isa);
}

}  // namespace asam
