// The epilogue of a matrix product from the arguments of a function of asam_trt._ops, checked.
#pragma once

#include <cstdint>
#include <optional>

#include "bindings/array.h"
#include "bindings/versions.h"
#include "core/errors.h"
#include "ops/matmul.h"

namespace asam {

// bias [r, out], r >= 1; residual [rows, out].
inline Epilogue epilogue_of(const std::optional<Input<2>>& bias, const std::optional<Input<2>>& residual,
                            int64_t rows, int64_t out, bool relu, bool gelu) {
  if (bias) tensor_of<2>(*bias).expect_shape("bias", {-1, out});
  require(!bias || bias->shape(0) > 0, "bias: expected at least one row, got none");
  if (residual) tensor_of<2>(*residual).expect_shape("residual", {rows, out});
  return {.bias = bias ? bias->data() : nullptr,
          .bias_rows = bias ? static_cast<int64_t>(bias->shape(0)) : 1,
          .residual = residual ? residual->data() : nullptr,
          .relu = relu,
          .gelu = gelu};
}

}  // namespace asam
