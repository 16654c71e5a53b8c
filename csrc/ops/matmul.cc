#include "ops/matmul.h"

#include <algorithm>

#include "ops/dispatch.h"
#include "ops/matmul_kernel.h"

namespace asam {

#if defined(__x86_64__)
void matmul_avx2(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                 const Epilogue& epilogue, float* c, int64_t c_stride);
void matmul_avx512f(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                    const Epilogue& epilogue, float* c, int64_t c_stride);
#elif defined(__aarch64__)
void matmul_neon(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                 const Epilogue& epilogue, float* c, int64_t c_stride);
#endif

namespace {

void matmul_portable(const float* a, int64_t a_stride, int64_t rows, const PackedView<float>& w,
                     const Epilogue& epilogue, float* c, int64_t c_stride) {
  simd::matmul_floats<4, 6, 2>(a, a_stride, rows, w, epilogue, c, c_stride);
}

#if defined(__x86_64__)
constexpr Versions<MatmulFn> kMatmul{matmul_portable, matmul_avx2, matmul_avx512f};
#elif defined(__aarch64__)
constexpr Versions<MatmulFn> kMatmul{.portable = matmul_portable, .neon = matmul_neon};
#else
constexpr Versions<MatmulFn> kMatmul{matmul_portable};
#endif

}  // namespace

PackedMatrix::PackedMatrix(int64_t in, std::initializer_list<Columns> side_by_side, int64_t panel)
    : in_(in), panel_(panel) {
  for (const Columns& part : side_by_side) out_ += part.out;
  const int64_t padded = (out_ + kPanelStep - 1) / kPanelStep * kPanelStep;
  data_ = Buffer(in * padded);
  int64_t column = 0;
  for (const Columns& part : side_by_side) {
    for (int64_t j = 0; j < part.out; ++j, ++column) {
      const int64_t start = column / panel * panel;
      const int64_t stride = std::min(panel, padded - start);
      float* to = data_.data() + start * in + (column - start);
      for (int64_t i = 0; i < in; ++i) to[i * stride] = part.weight[i * part.out + j];
    }
  }
}

int64_t matmul_panel(Isa isa) {
  return isa >= Isa::avx512f ? PackedMatrix::kPanel : PackedMatrix::kPanelStep;
}

MatmulFn matmul_for(Isa isa) {
  return kMatmul.pick(isa);
}

}  // namespace asam
