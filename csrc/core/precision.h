// The type that the large products multiply in; norms, softmax and what is added up are float32 in all.
#pragma once

#include <string>

namespace asam {

enum class Precision {
  float32,
  int16,
  int8,  // where it errs least; the rest as in kBesideInt8
};

// NEON multiplies 16-bit integers no faster than floats, on many cores half as fast; x86-64 twice as fast.
#if defined(__aarch64__)
inline constexpr Precision kBesideInt8 = Precision::float32;
#else
inline constexpr Precision kBesideInt8 = Precision::int16;
#endif

// Whether products of 16-bit integers are among those of a precision.
constexpr bool in_words(Precision precision) {
  return (precision == Precision::int8 ? kBesideInt8 : precision) == Precision::int16;
}

const char* precision_name(Precision precision);

// "float32", "int16" or "int8" -> Precision; std::invalid_argument for any other name.
Precision precision_from_name(const std::string& name);

}  // namespace asam
