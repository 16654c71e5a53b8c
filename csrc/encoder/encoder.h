// The native image encoder: SAM's ImageEncoderViT for any backbone and image side.
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "core/isa.h"
#include "core/tensor.h"
#include "encoder/weights.h"
#include "encoder/workspace.h"
#include "ops/kernels.h"

namespace asam {

// Calls may come from several threads at once. Wrong shapes and NaN or Inf are std::invalid_argument.
class ImageEncoder {
 public:
  ImageEncoder(const EncoderConfig& config, const TensorMap& tensors, Isa isa, Precision precision);

  const EncoderConfig& config() const { return weights_.config; }
  Isa isa() const { return isa_; }
  Precision precision() const { return weights_.precision; }

  // inputs:  image [3, S, S], normalised and padded
  // outputs: embedding [C, e, e]; the same bits for every number of threads
  void encode(Tensor<const float, 3> image, const Tensor<float, 3>& embedding) const;

 private:
  std::unique_ptr<EncoderWorkspace> borrow(int threads) const;
  void give_back(std::unique_ptr<EncoderWorkspace> workspace) const;

  EncoderWeights weights_;
  Isa isa_;
  Kernels kernels_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<EncoderWorkspace>>
      idle_;  // kept between calls: an image allocates nothing
};

}  // namespace asam
