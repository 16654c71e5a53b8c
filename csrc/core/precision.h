// The type that the large products multiply in; their sums, norms and softmax are float32 in either.
#pragma once

#include <string>

namespace asam {

enum class Precision { float32, bf16 };

const char* precision_name(Precision precision);

// "float32" or "bf16" -> Precision; std::invalid_argument for any other name.
Precision precision_from_name(const std::string& name);

}  // namespace asam
