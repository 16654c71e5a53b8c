// The native latent networks: mean and standard deviation of the image latent, or of the prompt latent.
//
//   features = F                                       [P, C],  the image's (IGN)
//   features = [F, dense + out(attention(q(F + pe), k(tokens), v(tokens)))]   [P, 2 C],  the prompt's (PGN);
//              a token of the network's own comes before the prompt's
//   mean, log sigma = output(mean over cells of blocks(features));   sigma = exp(clamp(log sigma))
//
// In float32 throughout: they are a hundredth of an image's work, and every hypothesis is drawn from what
// they say.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "core/isa.h"
#include "core/tensor.h"
#include "core/threads.h"
#include "encoder/prior_weights.h"
#include "ops/kernels.h"

namespace asam {

// Scratch of one running network, sized once.
struct PriorWorkspace {
  PriorWorkspace(const PriorWeights& weights, int64_t most_tokens, int most_members);

  int64_t tokens;         // of the prompt, that there is room for
  Buffer features;        // [P, inputs]
  Buffer queries, mixed;  // [P, C]
  Buffer said;            // [1 + tokens, C], the network's token and the prompt's
  Buffer keys, values;    // [1 + tokens, C]
  Buffer maps[2];         // [P, width], from one convolution to the next
  struct Member {
    Buffer gathered;   // [kRows, taps * in]
    Buffer attention;  // of the operation
    Buffer mean;       // [last width]
  };
  std::vector<Member> members;
};

// Calls may come from several threads at once. Wrong shapes and NaN or Inf are std::invalid_argument.
class LatentPrior {
 public:
  LatentPrior(const PriorConfig& config, const TensorMap& tensors, Isa isa);

  const PriorConfig& config() const { return weights_.config; }

  // inputs:  embedding [C, e, e]; for a network that sees the prompt also tokens [t, C], t >= 0, and
  //          dense [C, 1, 1] or [C, e, e], else both empty
  // outputs: mean and sigma [L]; the same bits for every number of threads
  void run(Tensor<const float, 3> embedding, Tensor<const float, 2> tokens, Tensor<const float, 3> dense,
           const Tensor<float, 1>& mean, const Tensor<float, 1>& sigma) const;

 private:
  using Workspace = std::unique_ptr<PriorWorkspace>;
  Workspace borrow(int64_t tokens, int members) const;
  void give_back(Workspace workspace) const;

  PriorWeights weights_;
  Kernels kernels_;
  mutable std::mutex mutex_;
  mutable std::vector<Workspace> idle_;  // kept between calls: a prompt allocates nothing
};

}  // namespace asam
