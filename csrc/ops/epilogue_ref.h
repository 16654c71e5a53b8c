// What a readable product does with its sums.
#pragma once

#include <cmath>
#include <cstdint>

#include "ops/matmul.h"

namespace asam {

// f(x + bias + residual) for element [r, j] of a result [rows, out] whose rows are c_stride apart.
inline float finish_ref(float x, const Epilogue& epilogue, int64_t r, int64_t j, int64_t out,
                        int64_t c_stride) {
  const int64_t biased = bias_columns(epilogue, out);
  if (j < biased) x += epilogue.bias[r % epilogue.bias_rows * biased + j];
  if (epilogue.residual) x += epilogue.residual[r * c_stride + j];
  if (epilogue.relu && x < 0.0f) x = 0.0f;
  if (epilogue.gelu) x = static_cast<float>(0.5 * x * std::erfc(-x * std::sqrt(0.5)));
  return x;
}

}  // namespace asam
