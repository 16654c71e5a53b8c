// The half of CUDA: round to nearest, ties to even, subnormal numbers and infinity included.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

struct __half {
  std::uint16_t bits;
};

inline float __half2float(__half x) {
  static const std::vector<float> values = [] {
    std::vector<float> all(1 << 16);
    for (int bits = 0; bits < 1 << 16; ++bits) {
      const int exponent = bits >> 10 & 31, fraction = bits & 1023;
      float value = std::ldexp(static_cast<float>(fraction + 1024), exponent - 25);
      if (exponent == 0) value = std::ldexp(static_cast<float>(fraction), -24);
      if (exponent == 31) value = fraction == 0 ? INFINITY : NAN;
      all[static_cast<std::size_t>(bits)] = bits >> 15 ? -value : value;
    }
    return all;
  }();
  return values[x.bits];
}

inline __half __float2half(float x) {
  const std::uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  if (std::isnan(x)) return {static_cast<std::uint16_t>(0x7fff)};
  const float size = std::fabs(x);
  if (size == 0.0f) return {sign};
  if (size >= 65520.0f) return {static_cast<std::uint16_t>(sign | 0x7c00)};
  int exponent = 0;
  std::frexp(size, &exponent);                                 // size = [0.5, 1) 2^exponent
  const int unit = exponent - 11 > -24 ? exponent - 11 : -24;  // of the last bit kept
  const auto steps = static_cast<int>(std::nearbyint(std::ldexp(size, -unit)));
  // Steps of a normal number have their 11th bit set, which adds one to the exponent below.
  const int bits = unit == -24 ? steps : (unit + 24) * 1024 + steps;
  return {static_cast<std::uint16_t>(sign | bits)};
}
