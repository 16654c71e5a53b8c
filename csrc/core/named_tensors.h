// Tensors of a file by name, and a reader that checks what it hands out.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/errors.h"
#include "core/tensor.h"

namespace asam {

struct NamedTensor {
  const float* data = nullptr;
  std::vector<std::int64_t> shape;

  std::int64_t size() const {
    std::int64_t count = 1;
    for (std::int64_t extent : shape) count *= extent;
    return count;
  }
};
using TensorMap = std::map<std::string, NamedTensor>;

// Reads tensors by name and remembers which were read. Throws std::invalid_argument naming the tensor.
class TensorReader {
 public:
  explicit TensorReader(const TensorMap& tensors) : tensors_(tensors) {}

  // Of this shape, in which -1 takes any extent above 0, and finite.
  const NamedTensor& read(const std::string& name, const std::vector<std::int64_t>& shape) {
    const auto found = tensors_.find(name);
    require(found != tensors_.end(), "weights: expected '", name, "' of shape ", shape_text(shape),
            ", found no such tensor");
    const NamedTensor& tensor = found->second;
    bool same = tensor.shape.size() == shape.size();
    for (std::size_t axis = 0; same && axis < shape.size(); ++axis) {
      same = shape[axis] < 0 ? tensor.shape[axis] > 0 : shape[axis] == tensor.shape[axis];
    }
    require(same, "weights: expected '", name, "' of shape ", shape_text(shape), ", got ",
            shape_text(tensor.shape));
    require(std::all_of(tensor.data, tensor.data + tensor.size(), [](float x) { return std::isfinite(x); }),
            "weights: expected finite values in '", name, "', got NaN or Inf");
    read_.insert(name);
    return tensor;
  }

  // Throws where a tensor was not read, unless its name begins with `other`.
  void expect_all_read(const std::string& other = "") const {
    for (const auto& [name, tensor] : tensors_) {
      require(read_.count(name) > 0 || (!other.empty() && name.rfind(other, 0) == 0),
              "weights: unknown tensor '", name, "' of shape ", shape_text(tensor.shape));
    }
  }

 private:
  const TensorMap& tensors_;
  std::set<std::string> read_;
};

}  // namespace asam
