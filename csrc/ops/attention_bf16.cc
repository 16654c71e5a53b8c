#include "ops/attention_bf16.h"

#include <algorithm>

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void attend_few_queries_avx512bf16(const AttentionShape& shape, const Bf16* q, const Bf16* k, const Bf16* v,
                                   Bf16* out, float* scratch);
void attend_few_keys_avx512bf16(const AttentionShape& shape, const Bf16* q, const Bf16* k, const Bf16* v,
                                Bf16* out, float* scratch);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<AttendBf16Fn> kAttendFewQueries{.portable = attend_bf16_ref,
                                                   .avx512bf16 = attend_few_queries_avx512bf16};
constexpr Versions<AttendBf16Fn> kAttendFewKeys{.portable = attend_bf16_ref,
                                                .avx512bf16 = attend_few_keys_avx512bf16};
#else
constexpr Versions<AttendBf16Fn> kAttendFewQueries{attend_bf16_ref};
constexpr Versions<AttendBf16Fn> kAttendFewKeys{attend_bf16_ref};
#endif

}  // namespace

int64_t attention_bf16_scratch(const AttentionShape& shape) {
  constexpr int64_t kLanes = 16;
  const auto vectors = [](int64_t n) { return (n + kLanes - 1) / kLanes; };
  const int64_t pairs = (shape.dim + 1) / 2, key_pairs = (shape.keys + 1) / 2;
  const int64_t values = key_pairs * vectors(shape.dim) * kLanes;
  const int64_t few_queries = kLanes * (pairs + shape.keys + key_pairs) + values;
  const int64_t few_keys = kLanes * vectors(shape.keys) * (pairs + 8) + values;
  return std::max(few_queries, few_keys);
}

AttendBf16Fn attend_few_queries_bf16_for(Isa isa) {
  return kAttendFewQueries.pick(isa);
}

AttendBf16Fn attend_few_keys_bf16_for(Isa isa) {
  return kAttendFewKeys.pick(isa);
}

}  // namespace asam
