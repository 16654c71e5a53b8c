#include "core/precision.h"

#include "core/errors.h"

namespace asam {

const char* precision_name(Precision precision) {
  if (precision == Precision::int8) return "int8";
  return precision == Precision::int16 ? "int16" : "float32";
}

Precision precision_from_name(const std::string& name) {
  if (name == "float32") return Precision::float32;
  if (name == "int16") return Precision::int16;
  if (name == "int8") return Precision::int8;
  throw std::invalid_argument(concat("unknown precision '", name, "'; expected one of float32, int16, int8"));
}

}  // namespace asam
