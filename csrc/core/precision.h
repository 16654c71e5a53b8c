// The type that the large products multiply in; norms, softmax and what is added up are float32 in all.
#pragma once

#include <string>

namespace asam {

enum class Precision {
  float32,
  int16,
  int8,  // where it errs least; the rest as in int16
};

const char* precision_name(Precision precision);

// "float32", "int16" or "int8" -> Precision; std::invalid_argument for any other name.
Precision precision_from_name(const std::string& name);

}  // namespace asam
