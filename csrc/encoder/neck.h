// The neck of SAM's image encoders: F = norm(conv3x3(norm(conv1x1(x)))).
#pragma once

#include "core/threads.h"
#include "encoder/projection.h"
#include "encoder/reader.h"
#include "ops/buffer.h"
#include "ops/kernels.h"

namespace asam {

inline constexpr float kNeckEps = 1e-6f;

struct NeckWeights {
  int64_t grid = 0;   // e
  Projection narrow;  // [D, C]
  EncoderNorm norm0;
  Projection mix;  // [9 C, C]: row, column, channel of the 3 x 3 neighbours
  EncoderNorm norm1;

  static NeckWeights load(EncoderReader& reader, int64_t grid, int64_t width, int64_t channels,
                          Precision precision);
};

struct NeckWorkspace {
  NeckWorkspace(const NeckWeights& weights, Precision precision, int most_threads);

  Rows cells;               // [P, D]
  Rows neighbours;          // [P, 9 C]
  Buffer map;               // [P, C]
  std::vector<Buffer> row;  // [C], of each thread
};

// Every member of the team calls this; x is complete before.
//
// inputs
//   x          [P, D]
// outputs
//   embedding  [C, e, e]
void run_neck(const TeamMember& member, const Kernels& kernels, const NeckWeights& weights, const float* x,
              NeckWorkspace& workspace, float* embedding);

}  // namespace asam
