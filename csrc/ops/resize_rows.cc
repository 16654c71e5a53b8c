#include "ops/resize_rows.h"

#include "ops/dispatch.h"
#include "ops/resize_rows_kernel.h"

namespace asam {
namespace {

const ResizeRows kPortable{simd::along_one_by_one, simd::values_down<4>, simd::mask_down,
                           simd::count_down<4>};

#if defined(__x86_64__)
constexpr Versions<const ResizeRows*> kResizeRows{&kPortable, &kResizeRowsAvx2, &kResizeRowsAvx512f};
#elif defined(__aarch64__)
constexpr Versions<const ResizeRows*> kResizeRows{.portable = &kPortable, .neon = &kResizeRowsNeon};
#else
constexpr Versions<const ResizeRows*> kResizeRows{&kPortable};
#endif

}  // namespace

const ResizeRows& resize_rows_for(Isa isa) {
  return *kResizeRows.pick(isa);
}

}  // namespace asam
