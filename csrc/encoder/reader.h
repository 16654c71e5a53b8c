// Reads the parts of an image encoder from tensors by name. Linear weights are [in, out], x W + b.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/named_tensors.h"
#include "core/precision.h"
#include "encoder/projection.h"
#include "ops/buffer.h"

namespace asam {

// Products outside the blocks, where the blocks' are int8: they cost little, and all others see what they
// round off, or no later one evens it out.
constexpr Precision outside_blocks(Precision blocks) {
  return blocks == Precision::int8 ? kBesideInt8 : blocks;
}

struct EncoderNorm {
  Buffer weight, bias;
};

class EncoderReader : public TensorReader {
 public:
  using TensorReader::TensorReader;

  Buffer buffer(const std::string& name, const std::vector<int64_t>& shape) {
    const NamedTensor& tensor = read(name, shape);
    Buffer out(tensor.size());
    std::copy_n(tensor.data, out.size(), out.data());
    return out;
  }

  EncoderNorm norm(const std::string& name, int64_t n) {
    return {buffer(name + ".weight", {n}), buffer(name + ".bias", {n})};
  }

  Projection projection(const std::string& name, int64_t in, int64_t out, Precision precision) {
    const float* weight = read(name + ".weight", {in, out}).data;
    return Projection(in, out, weight, read(name + ".bias", {out}).data, precision);
  }

  Projection projection_without_bias(const std::string& name, int64_t in, int64_t out, Precision precision) {
    return Projection(in, out, read(name + ".weight", {in, out}).data, nullptr, precision);
  }

  // Queries, keys and values of `heads` heads of `dim` columns: first those of all queries.
  Projection projection_by_head(const std::string& name, int64_t in, int64_t heads, int64_t dim,
                                Precision precision) {
    const int64_t out = 3 * heads * dim;
    const float* weight = read(name + ".weight", {in, out}).data;
    return Projection(in, 3 * heads, dim, weight, read(name + ".bias", {out}).data, precision);
  }
};

}  // namespace asam
