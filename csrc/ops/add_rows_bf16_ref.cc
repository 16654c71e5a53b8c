#include "ops/add_rows_bf16.h"

namespace asam {

void add_rows_bf16_ref(const float* x, int64_t rows, int64_t n, const float* row, int64_t row_count,
                       bool relu, Bf16* y) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t i = 0; i < n; ++i) {
      float sum = x[r * n + i] + row[r % row_count * n + i];
      if (relu && sum < 0.0f) sum = 0.0f;
      to_bf16_ref(&sum, 1, y + r * n + i);
    }
  }
}

}  // namespace asam
