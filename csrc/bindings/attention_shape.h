// The checked shape of an attention binding, whatever its numbers are.
#pragma once

#include <cstdint>

#include "core/errors.h"
#include "ops/attention.h"

namespace asam {

// q [queries, width] over k and v [keys, width].
inline AttentionShape attention_shape(int64_t queries, int64_t keys, int64_t width, int64_t heads) {
  require(heads >= 1 && width >= heads && width % heads == 0, "heads: expected a divisor of ", width,
          ", got ", heads);
  require(keys >= 1, "k: expected at least one key, got none");
  return {.queries = queries,
          .keys = keys,
          .heads = heads,
          .dim = width / heads,
          .q_stride = width,
          .k_stride = width,
          .v_stride = width,
          .out_stride = width};
}

}  // namespace asam
