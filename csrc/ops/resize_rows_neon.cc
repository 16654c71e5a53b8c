#include "ops/resize_rows_kernel.h"

#if defined(__aarch64__)

namespace asam {

const ResizeRows kResizeRowsNeon{simd::along_one_by_one, simd::values_down<4>, simd::mask_down,
                                 simd::count_down<4>};

}  // namespace asam

#endif
