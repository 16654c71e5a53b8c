#include "ops/matmul_bf16.h"

#include <algorithm>

#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void matmul_bf16_avx512bf16(const Bf16* a, int64_t a_stride, int64_t rows, const PackedView<Bf16>& w,
                            const Epilogue& epilogue, const Bf16Result& c);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<MatmulBf16Fn> kMatmulBf16{.portable = matmul_bf16_ref,
                                             .avx512bf16 = matmul_bf16_avx512bf16};
#else
constexpr Versions<MatmulBf16Fn> kMatmulBf16{matmul_bf16_ref};
#endif

}  // namespace

PackedBf16Matrix::PackedBf16Matrix(int64_t in, std::initializer_list<Columns> side_by_side) : in_(in) {
  for (const Columns& part : side_by_side) out_ += part.out;
  const int64_t pairs = (in + 1) / 2, padded = (out_ + kPanelStep - 1) / kPanelStep * kPanelStep;
  data_ = Bf16Buffer(2 * pairs * padded);
  int64_t column = 0;
  for (const Columns& part : side_by_side) {
    for (int64_t j = 0; j < part.out; ++j, ++column) {
      const int64_t start = column / kPanel * kPanel;
      const int64_t width = std::min(kPanel, padded - start);
      Bf16* to = data_.data() + 2 * (start * pairs + (column - start));
      for (int64_t i = 0; i < in; ++i) {
        to_bf16_ref(part.weight + i * part.out + j, 1, to + 2 * (i / 2 * width) + i % 2);
      }
    }
  }
}

MatmulBf16Fn matmul_bf16_for(Isa isa) {
  return kMatmulBf16.pick(isa);
}

}  // namespace asam
