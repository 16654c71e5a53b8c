// Scratch of one executor, sized once for a block of hypotheses.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/arithmetic.h"
#include "sampler/prefix.h"
#include "sampler/weights.h"

namespace asam {

struct Workspace {
  Workspace(const SamplerWeights& weights, int64_t block, int64_t tokens, int members);

  int64_t block;   // B, hypotheses at a time
  int64_t tokens;  // T it has room for

  Buffer eps;                          // [B, 2, L]
  Buffer z_prompt, z_image;            // [B, L]
  Buffer latent_prompt, latent_image;  // [B, C], latent half of the first combiner layers
  Buffer dense;                        // [B, C], combined prompt where it is one vector, and the last bias
  Buffer dense_a, dense_b;             // [B, C], between its layers
  Buffer src;                          // [B * P, C]
  Buffer cell_kv;                      // [P, C], or [kChunk, C] of a team of one
  Buffer queries;                      // [B * T, C]
  Buffer with_point;                   // [B * T, C], queries + point
  Buffer self_qk;                      // [B * T, 2C]
  Buffer self_v, token_mixed;          // [B * T, C]
  Buffer image_q;                      // [B * T, C/2], token queries for the image
  Buffer token_k, token_v;             // [B * T, C/2], what the image looks at
  Buffer head_a, head_b;               // [K, B, C]
  Buffer iou_a, iou_b;                 // [B, widest layer]
  Buffer hyper;                        // [B, masks of a pass, C/8]

  // Where the model samples prompt tokens; else empty.
  Buffer point;          // [B * T, C], output tokens then prompt tokens
  PrefixScratch prefix;  // of one hypothesis

  // Of one thread.
  struct Member {
    Buffer chain_a, chain_b;    // [kChunk, C], between combiner layers
    Buffer cell_q, cell_mixed;  // [kChunk, C/2]
    Buffer hidden;              // [kChunk, M]
    Buffer attention, upscale;  // scratch of the operations
    Buffer attention_sums;      // between the chunks that tokens look at
    IntegerRoom integers;       // for kChunk or B rows, where products take them
  };
  std::vector<Member> members;

  static constexpr int64_t kChunk = 72;  // rows that pass through products together: six tiles
};

}  // namespace asam
