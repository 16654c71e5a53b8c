// One image's way through a TinyViT encoder, by a team of threads (docs/architecture.md, "The image
// encoder").
//
//   x    = conv3x3(gelu(conv3x3(image)))                                 each of stride 2; or, where stage 0
//          is at every pixel, conv1x1(gelu(conv1x1(image)))
//   x    = gelu(x + project(gelu(depthwise(gelu(expand(x))))))           each block of stage 0
//   x    = project(gelu(depthwise(gelu(expand(x)))))                     into another stage
//   x   += out(attend(qkv(norm1(x))))                                    each block there, in windows
//   x    = depthwise(x);  x += mlp1(gelu(mlp0(norm2(x))))
//   F    = norm(conv3x3(norm(conv1x1(x))))
//
// Threads share the rows of the grid, and wait where one needs what its neighbours made.
#pragma once

#include "core/threads.h"
#include "encoder/tiny_weights.h"
#include "encoder/tiny_workspace.h"
#include "ops/kernels.h"

namespace asam {

// Every member of the team calls this. Which member computes what changes no bit of the result.
//
// inputs
//   image      [3, S, S]
// outputs
//   embedding  [C, e, e]
void encode_image(const TeamMember& member, const Kernels& kernels, const TinyWeights& weights,
                  const float* image, TinyWorkspace& workspace, float* embedding);

}  // namespace asam
