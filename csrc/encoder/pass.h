// One image's way through the encoder, by a team of threads (docs/architecture.md, "The image encoder").
//
//   x    = patches(image) W + b + position
//   x   += out(attend(qkv(norm1(x))))      each block, in windows or over the whole grid
//   x   += mlp1(gelu(mlp0(norm2(x))))
//   F    = norm(conv3x3(norm(conv1x1(x))))
#pragma once

#include "core/threads.h"
#include "encoder/weights.h"
#include "encoder/workspace.h"
#include "ops/kernels.h"

namespace asam {

// Every member of the team calls this. Which member computes what changes no bit of the result.
//
// inputs
//   image      [3, S, S]
// outputs
//   embedding  [C, e, e]
void encode_image(const TeamMember& member, const Kernels& kernels, const EncoderWeights& weights,
                  const float* image, EncoderWorkspace& workspace, float* embedding);

}  // namespace asam
