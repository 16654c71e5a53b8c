#include "ops/filter_rows.h"

#include "ops/dispatch.h"

namespace asam {
namespace {

#if defined(__x86_64__)
constexpr Versions<const FilterRows*> kFilterRows{.portable = &kFilterRowsReference,
                                                  .avx2 = &kFilterRowsAvx2};
#else
constexpr Versions<const FilterRows*> kFilterRows{&kFilterRowsReference};
#endif

}  // namespace

const FilterRows& filter_rows_for(Isa isa) {
  return *kFilterRows.pick(isa);
}

}  // namespace asam
