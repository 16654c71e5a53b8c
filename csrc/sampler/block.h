// The sampler's pass for one block of hypotheses (docs/architecture.md, "The sampler").
#pragma once

#include <cstdint>

#include "core/threads.h"
#include "ops/kernels.h"
#include "sampler/state.h"
#include "sampler/workspace.h"

namespace asam {

// Called by every member of a team at once with the same arguments; a team of one is one thread.
//
// inputs
//   eps      [count, 2, L]  prompt latent, image latent; count <= workspace.block
// outputs
//   logits   [count, masks of a pass, 4e, 4e]
//   scores   [count, masks of a pass]
// Every number is computed by one thread and in one order: the same bits in any block and any team.
void sample_block(const Kernels& kernels, const ImageState& image, const PromptState& prompt,
                  const float* eps, int64_t count, Workspace& workspace, const TeamMember& member,
                  float* logits, float* scores);

}  // namespace asam
