// Memory that is read soon, asked for in one sweep. What a product adds to its tiles lies a row apart, which
// the processor does not foresee: from the third-level cache or beyond each tile would wait for it.
#pragma once

#include <cstdint>

namespace asam {

inline void fetch(const float* from, int64_t count) {
  constexpr int64_t kLine = 16;
  for (int64_t i = 0; i < count; i += kLine) __builtin_prefetch(from + i, 0, 2);
}

}  // namespace asam
