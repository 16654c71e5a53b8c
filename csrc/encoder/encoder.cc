#include "encoder/encoder.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/threads.h"
#include "encoder/pass.h"

namespace asam {

ImageEncoder::ImageEncoder(const EncoderConfig& config, const TensorMap& tensors, Isa isa,
                           Precision precision)
    : weights_(EncoderWeights::load(config, tensors, precision)), isa_(isa), kernels_(Kernels::of(isa)) {}

void ImageEncoder::encode(Tensor<const float, 3> image, const Tensor<float, 3>& embedding) const {
  const int64_t side = config().side, e = config().grid();
  image.expect_shape("image", {EncoderConfig::kColours, side, side});
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

std::unique_ptr<EncoderWorkspace> ImageEncoder::borrow(int threads) const {
  {
    const std::lock_guard lock(mutex_);
    const auto fits =
        std::find_if(idle_.begin(), idle_.end(), [=](const auto& one) { return one->threads() >= threads; });
    if (fits != idle_.end()) {
      auto workspace = std::move(*fits);
      idle_.erase(fits);
      return workspace;
    }
    idle_.clear();  // too small for the threads that there are now
  }
  return std::make_unique<EncoderWorkspace>(weights_, threads);
}

void ImageEncoder::give_back(std::unique_ptr<EncoderWorkspace> workspace) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(workspace));
}

}  // namespace asam
