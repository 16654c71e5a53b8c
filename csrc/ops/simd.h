// Vectors of Lanes floats in the compiler's vector extension, one source for every instruction set.
//
// Included by files built with different instruction-set flags, so: every function is a template over Lanes,
// always inlined, and free of standard-library calls. Nothing here has a symbol that one file's flags could
// leak into another through.
#pragma once

#include <cstdint>

#define ASAM_INLINE [[gnu::always_inline]] inline

namespace asam::simd {

template <int Lanes>
struct Types {
  typedef float Float __attribute__((vector_size(Lanes * 4)));
  typedef int32_t Int __attribute__((vector_size(Lanes * 4)));
};

template <int Lanes>
using Float = typename Types<Lanes>::Float;
template <int Lanes>
using Int = typename Types<Lanes>::Int;

template <int Lanes>
ASAM_INLINE Float<Lanes> splat(float x) {
  return x - Float<Lanes>{};
}

template <int Lanes>
ASAM_INLINE Float<Lanes> load(const float* p) {
  Float<Lanes> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <int Lanes>
ASAM_INLINE void store(float* p, Float<Lanes> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// The first `count` lanes from memory, the others zero.
template <int Lanes>
ASAM_INLINE Float<Lanes> load_part(const float* p, int64_t count) {
  Float<Lanes> v{};
  for (int64_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
}

template <int Lanes>
ASAM_INLINE void store_part(float* p, Float<Lanes> v, int64_t count) {
  for (int64_t i = 0; i < count; ++i) p[i] = v[i];
}

// b where either is NaN, in one instruction: what may be NaN and has to stay so comes second.
template <int Lanes>
ASAM_INLINE Float<Lanes> max(Float<Lanes> a, Float<Lanes> b) {
  return a > b ? a : b;
}

// As max.
template <int Lanes>
ASAM_INLINE Float<Lanes> min(Float<Lanes> a, Float<Lanes> b) {
  return a < b ? a : b;
}

template <int Lanes>
ASAM_INLINE Float<Lanes> sqrt(Float<Lanes> v) {
  float x[Lanes];
  __builtin_memcpy(x, &v, sizeof v);
  for (float& one : x) one = __builtin_sqrtf(one);
  return load<Lanes>(x);
}

// Pairwise, so that the order of the sum is the same in every build of one Lanes.
template <int Lanes>
ASAM_INLINE float sum(Float<Lanes> v) {
  float part[Lanes];
  __builtin_memcpy(part, &v, sizeof v);
  for (int half = Lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) part[i] += part[i + half];
  }
  return part[0];
}

// e^x for x <= 88, NaN for NaN; x = n ln 2 + r, |r| <= ln 2 / 2, e^r by its series to r^7 (truncation 5e-9,
// below half an ulp).
template <int Lanes>
ASAM_INLINE Float<Lanes> exp(Float<Lanes> x) {
  using F = Float<Lanes>;
  x = max<Lanes>(splat<Lanes>(-87.0f), x);      // the smallest result that is not subnormal
  const F rounder = splat<Lanes>(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer
  const F n = (x * 1.44269504f + rounder) - rounder;
  const F r = (x - n * 0.693359375f) - n * -2.12194440e-4f;  // ln 2 in two parts, n times the first is exact
  F p = splat<Lanes>(1.0f / 5040.0f);
  p = p * r + 1.0f / 720.0f;
  p = p * r + 1.0f / 120.0f;
  p = p * r + 1.0f / 24.0f;
  p = p * r + 1.0f / 6.0f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const Int<Lanes> power = (__builtin_convertvector(n, Int<Lanes>) + 127) << 23;
  F scale;
  __builtin_memcpy(&scale, &power, sizeof scale);
  return p * scale;
}

// erf(x) = x P(x^2) / Q(x^2) on |x| <= 4, beyond which it rounds to 1: least-squares rational fit of the
// absolute error, 2.3e-8 in exact arithmetic and 4e-7 in float32.
template <int Lanes>
ASAM_INLINE Float<Lanes> erf(Float<Lanes> x) {
  using F = Float<Lanes>;
  x = min<Lanes>(splat<Lanes>(4.0f), max<Lanes>(splat<Lanes>(-4.0f), x));
  const F t = x * x;
  F p = splat<Lanes>(1.975972007304e-06f);
  p = p * t + 2.874624377533e-04f;
  p = p * t + 3.985102287758e-03f;
  p = p * t + 5.341031744450e-02f;
  p = p * t + 1.958387755947e-01f;
  p = p * t + 1.128378994728f;
  F q = splat<Lanes>(3.746213706508e-05f);
  q = q * t + 1.211546848242e-03f;
  q = q * t + 1.540765402172e-02f;
  q = q * t + 1.163041094542e-01f;
  q = q * t + 5.068889296848e-01f;
  q = q * t + 1.0f;
  return x * p / q;
}

}  // namespace asam::simd
