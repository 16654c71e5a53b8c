// The epilogue of a matrix product from the arguments of a function of asam_trt._ops, checked.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "bindings/array.h"
#include "bindings/versions.h"
#include "core/errors.h"
#include "ops/matmul.h"

namespace asam {

// bias [r, columns], r >= 1, columns <= out; residual [rows, out].
inline Epilogue epilogue_of(const std::optional<Input<2>>& bias, const std::optional<Input<2>>& residual,
                            int64_t rows, int64_t out, bool relu, bool gelu) {
  const int64_t bias_rows = bias ? static_cast<int64_t>(bias->shape(0)) : 1;
  const int64_t bias_columns = bias ? static_cast<int64_t>(bias->shape(1)) : out;
  require(bias_rows > 0, "bias: expected at least one row, got none");
  require(bias_columns >= std::min<int64_t>(out, 1) && bias_columns <= out,
          "bias: expected at least one and at most ", out, " columns, got ", bias_columns);
  if (residual) tensor_of<2>(*residual).expect_shape("residual", {rows, out});
  return {.bias = bias ? bias->data() : nullptr,
          .bias_rows = bias_rows,
          .bias_columns = bias_columns,
          .residual = residual ? residual->data() : nullptr,
          .relu = relu,
          .gelu = gelu};
}

}  // namespace asam
