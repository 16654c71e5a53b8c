#include "ops/matmul_int8.h"

#include <algorithm>
#include <cmath>

#include "core/errors.h"
#include "ops/dispatch.h"

namespace asam {

#if defined(__x86_64__)
void matmul_int8_avxvnni(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                         float* c, int64_t c_stride);
void matmul_int8_avx512vnni(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                            float* c, int64_t c_stride);
#elif defined(__aarch64__)
void matmul_int8_neondot(const Int8RowsView& a, int64_t rows, const Int8View& w, const Epilogue& epilogue,
                         float* c, int64_t c_stride);
#endif

namespace {

#if defined(__x86_64__)
constexpr Versions<MatmulInt8Fn> kMatmulInt8{
    .portable = matmul_int8_ref, .avx512vnni = matmul_int8_avx512vnni, .avxvnni = matmul_int8_avxvnni};
#elif defined(__aarch64__)
constexpr Versions<MatmulInt8Fn> kMatmulInt8{.portable = matmul_int8_ref, .neondot = matmul_int8_neondot};
#else
constexpr Versions<MatmulInt8Fn> kMatmulInt8{matmul_int8_ref};
#endif

}  // namespace

PackedInt8Matrix::PackedInt8Matrix(int64_t in, std::initializer_list<PackedMatrix::Columns> side_by_side)
    : PackedGroups(in, side_by_side), scale_(padded_columns()), sums_(padded_columns()) {
  require(in <= kMostInputs, "expected at most ", kMostInputs, " inputs of a product in int8, got ", in);
  int64_t column = 0;
  for (const PackedMatrix::Columns& part : side_by_side) {
    for (int64_t j = 0; j < part.out; ++j, ++column) {
      float largest = 0.0f;
      for (int64_t i = 0; i < in; ++i) largest = std::max(largest, std::abs(part.weight[i * part.out + j]));
      const float steps = largest > kLeastRange ? 127.0f / largest : 0.0f;
      scale_.data()[column] = largest / 127.0f;
      for (int64_t i = 0; i < in; ++i) {
        const float level =
            std::clamp(std::nearbyint(part.weight[i * part.out + j] * steps), -127.0f, 127.0f);
        at(i, column) = static_cast<int8_t>(level);
        sums_.data()[column] += static_cast<int8_t>(level);
      }
    }
  }
}

MatmulInt8Fn matmul_int8_for(Isa isa) {
  return kMatmulInt8.pick(isa);
}

}  // namespace asam
