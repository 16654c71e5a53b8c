// The native image encoders, for any image side: SAM's ImageEncoderViT and MobileSAM's TinyViT.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "core/isa.h"
#include "core/tensor.h"
#include "core/threads.h"
#include "encoder/pass.h"
#include "encoder/tiny_pass.h"
#include "ops/kernels.h"

namespace asam {

// Calls may come from several threads at once. Wrong shapes and NaN or Inf are std::invalid_argument.
template <class ConfigT, class Weights, class Workspace>
class EncoderOf {
 public:
  using Config = ConfigT;

  EncoderOf(const Config& config, const TensorMap& tensors, Isa isa, Precision precision)
      : weights_(Weights::load(config, tensors, precision)), isa_(isa), kernels_(Kernels::of(isa)) {}

  const Config& config() const { return weights_.config; }
  Isa isa() const { return isa_; }
  Precision precision() const { return weights_.precision; }

  // inputs:  image [3, S, S], normalised and padded
  // outputs: embedding [C, e, e]; the same bits for every number of threads
  void encode(Tensor<const float, 3> image, const Tensor<float, 3>& embedding) const {
    const int64_t side = config().side, e = config().grid();
    image.expect_shape("image", {Config::kColours, side, side});
    embedding.expect_shape("embedding", {config().channels, e, e});
    const auto pixels = image.flat();
    require(std::all_of(pixels.begin(), pixels.end(), [](float x) { return std::isfinite(x); }),
            "image: expected finite numbers, got NaN or Inf");
    const int threads = num_threads();
    auto workspace = borrow(threads);
    parallel_team(threads, [&](const TeamMember& member) {
      encode_image(member, kernels_, weights_, image.data(), *workspace, embedding.data());
    });
    give_back(std::move(workspace));
  }

 private:
  std::unique_ptr<Workspace> borrow(int threads) const {
    {
      const std::lock_guard lock(mutex_);
      const auto fits = std::find_if(idle_.begin(), idle_.end(),
                                     [=](const auto& one) { return one->threads() >= threads; });
      if (fits != idle_.end()) {
        auto workspace = std::move(*fits);
        idle_.erase(fits);
        return workspace;
      }
      idle_.clear();  // too small for the threads that there are now
    }
    return std::make_unique<Workspace>(weights_, threads);
  }

  void give_back(std::unique_ptr<Workspace> workspace) const {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(workspace));
  }

  Weights weights_;
  Isa isa_;
  Kernels kernels_;
  mutable std::mutex mutex_;
  mutable std::vector<std::unique_ptr<Workspace>> idle_;  // kept between calls: an image allocates nothing
};

using ImageEncoder = EncoderOf<EncoderConfig, EncoderWeights, EncoderWorkspace>;
using TinyImageEncoder = EncoderOf<TinyConfig, TinyWeights, TinyWorkspace>;

}  // namespace asam
