#if defined(__x86_64__)

#include "ops/avxvnni_words.h"
#include "ops/matmul_int16_kernel.h"

namespace asam {

void matmul_int16_avxvnni(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                          float* c, int64_t c_stride) {
  simd::matmul_words<8, 6, 2, simd::Vpdpwssd256>(a, rows, w, epilogue, c, c_stride);
}

}  // namespace asam

#endif
