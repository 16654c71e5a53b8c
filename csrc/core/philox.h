// Counter-based normal random numbers: the same seed gives the same numbers for every batch size, thread
// count and backend.
//
// Philox4x32-10 of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (SC 2011):
//   key     = (low, high) 32 bits of the seed
//   counter = (hypothesis, block, stream, 0); block b yields latent elements 4b .. 4b+3
// Box-Muller on the four words x, in float32:
//   u(x) = ((x >> 8) + 1) 2^-24 in (0, 1],   v(x) = (x >> 8) 2^-24 in [0, 1)
//   (n0, n1) = sqrt(-2 ln u(x0)) (cos, sin)(2 pi v(x1)),   (n2, n3) likewise from x2, x3
//
// Shared by the CPU and the CUDA code.
#pragma once

#include <cstdint>

#include "core/host_device.h"

namespace asam {

inline constexpr std::uint32_t kPromptStream = 0;
inline constexpr std::uint32_t kImageStream = 1;
inline constexpr std::int64_t kStreams = 2;

struct PhiloxWords {
  std::uint32_t x[4];
};

ASAM_HOST_DEVICE inline PhiloxWords philox4x32_10(PhiloxWords counter, std::uint32_t key0,
                                                  std::uint32_t key1) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53u} * counter.x[0];
    const std::uint64_t right = std::uint64_t{0xCD9E8D57u} * counter.x[2];
    counter = {
        {static_cast<std::uint32_t>(right >> 32) ^ counter.x[1] ^ key0, static_cast<std::uint32_t>(right),
         static_cast<std::uint32_t>(left >> 32) ^ counter.x[3] ^ key1, static_cast<std::uint32_t>(left)}};
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
  return counter;
}

ASAM_HOST_DEVICE inline PhiloxWords philox_block(std::uint64_t seed, std::uint32_t hypothesis,
                                                 std::uint32_t block, std::uint32_t stream) {
  return philox4x32_10({{hypothesis, block, stream, 0u}}, static_cast<std::uint32_t>(seed),
                       static_cast<std::uint32_t>(seed >> 32));
}

// Box-Muller's two uniforms, exact in float32.
ASAM_HOST_DEVICE inline float philox_radius_uniform(std::uint32_t x) {
  return static_cast<float>((x >> 8) + 1u) * 0x1p-24f;
}
ASAM_HOST_DEVICE inline float philox_angle(std::uint32_t x) {
  return 6.28318530717958647692f * (static_cast<float>(x >> 8) * 0x1p-24f);
}

// inputs:  seed; hypotheses start .. start+n-1; dim, a multiple of 4
// outputs: out [n, 2, dim] (hypothesis; prompt latent, image latent; element)
// throws:  std::invalid_argument where n, dim or start is out of range
void philox_normal(std::uint64_t seed, std::int64_t n, std::int64_t dim, std::int64_t start, float* out);

// The range checks of philox_normal alone, for the other backends.
void philox_check(std::int64_t n, std::int64_t dim, std::int64_t start);

}  // namespace asam
