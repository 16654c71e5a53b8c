// Workspaces kept between calls, so that sampling allocates none once it is warm.
#pragma once

#include <algorithm>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "sampler/workspace.h"

namespace asam {

// May be used by several threads at once.
class WorkspacePool {
 public:
  using Lent = std::unique_ptr<Workspace>;

  // One with room for all three.
  Lent borrow(const SamplerWeights& weights, int64_t block, int64_t tokens, int members) {
    {
      const std::lock_guard lock(mutex_);
      const auto fits = std::find_if(idle_.begin(), idle_.end(), [&](const Lent& workspace) {
        return workspace->block >= block && workspace->tokens >= tokens &&
               workspace->members.size() >= static_cast<size_t>(members);
      });
      if (fits != idle_.end()) {
        Lent workspace = std::move(*fits);
        idle_.erase(fits);
        return workspace;
      }
      // One that is smaller in every way would only be kept beside the larger one.
      std::erase_if(idle_, [&](const Lent& workspace) {
        return workspace->block <= block && workspace->tokens <= tokens &&
               workspace->members.size() <= static_cast<size_t>(members);
      });
    }
    return std::make_unique<Workspace>(weights, block, tokens, members);
  }

  void give_back(Lent workspace) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(workspace));
  }

 private:
  std::mutex mutex_;
  std::vector<Lent> idle_;
};

}  // namespace asam
