#include "ops/bf16.h"

namespace asam {

void to_bf16_ref(const float* x, int64_t count, Bf16* y) {
  for (int64_t i = 0; i < count; ++i) {
    uint32_t bits;
    __builtin_memcpy(&bits, x + i, sizeof bits);
    const bool nan = (bits & 0x7fffffffu) > 0x7f800000u;
    // Half of the last place that stays, less where that place is even.
    const uint32_t rounded = bits + 0x7fffu + (bits >> 16 & 1u);
    y[i] = static_cast<Bf16>(nan ? (bits >> 16 | 0x40u) : rounded >> 16);
  }
}

}  // namespace asam
