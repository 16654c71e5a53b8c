// One implementation of the two inner loops of mask_pairs. Only <cstdint> here: files with instruction-set
// flags include this header and must not emit inline functions that others could link.
#pragma once

#include <cstdint>

namespace asam {

struct MaskPairKernel {
  const char* name;

  // words[w] bit b = (mask[64 w + b] != 0); bits past the last pixel are 0.
  // inputs
  //   mask    [pixels]
  // outputs
  //   words   [ceil(pixels / 64)]
  void (*pack)(const uint8_t* mask, int64_t pixels, uint64_t* words);

  // shared[r] = popcount(a & b[r])
  // inputs
  //   a       [words]
  //   b       [rows, words]
  // outputs
  //   shared  [rows]
  void (*intersect)(const uint64_t* a, const uint64_t* b, int64_t rows, int64_t words, int32_t* shared);
};

extern const MaskPairKernel kMaskPairReference;  // bit by bit, what the others are tested against
extern const MaskPairKernel kMaskPairPortable;
#if defined(__x86_64__)
extern const MaskPairKernel kMaskPairAvx2;    // AVX2 and POPCNT
extern const MaskPairKernel kMaskPairAvx512;  // AVX-512 F, BW and VPOPCNTDQ
#elif defined(__aarch64__)
extern const MaskPairKernel kMaskPairNeon;
#endif

}  // namespace asam
