#if defined(__aarch64__)

#include <arm_neon.h>

#include "ops/mask_pairs_kernel.h"

namespace asam {
namespace {
namespace neon {

// 64 bytes -> 64 bits: each byte that is not zero leaves the bit of its place, then neighbours are added.
uint64_t nonzero_bits(const uint8_t* bytes) {
  const uint8x16_t place = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
  uint8x16_t bits[4];
  for (int part = 0; part < 4; ++part) {
    const uint8x16_t x = vld1q_u8(bytes + 16 * part);
    bits[part] = vandq_u8(vtstq_u8(x, x), place);
  }
  const uint8x16_t all = vpaddq_u8(vpaddq_u8(bits[0], bits[1]), vpaddq_u8(bits[2], bits[3]));
  return vgetq_lane_u64(vreinterpretq_u64_u8(vpaddq_u8(all, all)), 0);
}

void pack(const uint8_t* mask, int64_t pixels, uint64_t* words) {
  const int64_t full = pixels / 64;
  for (int64_t w = 0; w < full; ++w) words[w] = nonzero_bits(mask + 64 * w);
  if (pixels % 64 != 0) {
    uint64_t last = 0;
    for (int64_t p = 64 * full; p < pixels; ++p) last |= uint64_t{mask[p] != 0} << (p % 64);
    words[full] = last;
  }
}

// kRows rows at a time read each word of a once for all of them.
template <int kRows>
void intersect_rows(const uint64_t* a, const uint64_t* b, int64_t words, int32_t* shared) {
  constexpr int64_t kSteps = 31;  // of at most 8 bits a byte, which then still fit the byte
  uint32x4_t counts[kRows] = {};
  int64_t w = 0;
  while (w + 2 <= words) {
    const int64_t whole = words - words % 2, end = whole - w < 2 * kSteps ? whole : w + 2 * kSteps;
    uint8x16_t bytes[kRows] = {};
    for (; w < end; w += 2) {
      const uint64x2_t left = vld1q_u64(a + w);
      for (int r = 0; r < kRows; ++r) {
        const uint64x2_t both = vandq_u64(left, vld1q_u64(b + r * words + w));
        bytes[r] = vaddq_u8(bytes[r], vcntq_u8(vreinterpretq_u8_u64(both)));
      }
    }
    for (int r = 0; r < kRows; ++r) counts[r] = vpadalq_u16(counts[r], vpaddlq_u8(bytes[r]));
  }
  for (int r = 0; r < kRows; ++r) {
    uint32_t count = vaddvq_u32(counts[r]);
    if (w < words) count += vaddv_u8(vcnt_u8(vcreate_u8(a[w] & b[r * words + w])));
    shared[r] = static_cast<int32_t>(count);
  }
}

void intersect(const uint64_t* a, const uint64_t* b, int64_t rows, int64_t words, int32_t* shared) {
  constexpr int kBlock = 8;
  int64_t r = 0;
  for (; r + kBlock <= rows; r += kBlock) intersect_rows<kBlock>(a, b + r * words, words, shared + r);
  for (; r < rows; ++r) intersect_rows<1>(a, b + r * words, words, shared + r);
}

}  // namespace neon
}  // namespace

const MaskPairKernel kMaskPairNeon{"neon", neon::pack, neon::intersect};

}  // namespace asam

#endif
