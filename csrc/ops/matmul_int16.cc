#include "ops/matmul_int16.h"

#include "core/errors.h"
#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void matmul_int16_avx2(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                       float* c, int64_t c_stride);
void matmul_int16_avxvnni(const Int16RowsView& a, int64_t rows, const Int16View& w, const Epilogue& epilogue,
                          float* c, int64_t c_stride);
void matmul_int16_avx512vnni(const Int16RowsView& a, int64_t rows, const Int16View& w,
                             const Epilogue& epilogue, float* c, int64_t c_stride);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<MatmulInt16Fn> kMatmulInt16{.portable = matmul_int16_ref,
                                               .avx2 = matmul_int16_avx2,
                                               .avx512vnni = matmul_int16_avx512vnni,
                                               .avxvnni = matmul_int16_avxvnni};
#else
constexpr Versions<MatmulInt16Fn> kMatmulInt16{matmul_int16_ref};
#endif

}  // namespace

PackedInt16Matrix::PackedInt16Matrix(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side)
    : PackedGroups(in, side_by_side), scale_(padded_columns()) {
  require(in <= kMostInt16Inputs, "expected at most ", kMostInt16Inputs,
          " inputs of a product in 16 bits, got ", in);
  Buffer column(in);
  BufferOf<int16_t> levels(in);
  int64_t at_column = 0;
  for (const PackedMatrix::Columns& part : side_by_side) {
    for (int64_t j = 0; j < part.out; ++j, ++at_column) {
      for (int64_t i = 0; i < in; ++i) column.data()[i] = part.weight[i * part.out + j];
      quantise_int16_ref(column.data(), in, 1, in, levels.data(), in, scale_.data() + at_column);
      for (int64_t i = 0; i < in; ++i) at(i, at_column) = levels.data()[i];
    }
  }
}

MatmulInt16Fn matmul_int16_for(Isa isa) {
  return kMatmulInt16.pick(isa);
}

}  // namespace asam
