#if defined(__x86_64__)

#include "ops/avxvnni_words.h"
#include "ops/matmul_int8_kernel.h"

namespace asam {

void matmul_int8_avxvnni(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                         float* c, int64_t c_stride) {
  simd::matmul_bytes<8, 6, 2, simd::Vpdpbusd256>(a, rows, w, epilogue, c, c_stride);
}

}  // namespace asam

#endif
