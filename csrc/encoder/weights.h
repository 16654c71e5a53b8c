// Weights of an image encoder, checked once and packed for the kernels.
//
// Names and shapes are those of image_encoder.safetensors (asam.export writes them): linear weights are [in,
// out], x W + b.
#pragma once

#include <vector>

#include "core/named_tensors.h"
#include "core/precision.h"
#include "encoder/config.h"
#include "encoder/neck.h"
#include "encoder/projection.h"
#include "encoder/reader.h"
#include "ops/buffer.h"
#include "ops/relative_attention.h"

namespace asam {

// The neck's products, whatever the precision of the blocks: one in a hundred at ViT-B, and no later layer
// evens out what they round off.
inline constexpr Precision kNeck = Precision::float32;

struct EncoderBlock {
  int64_t window = 0;  // cells a side that it attends over
  EncoderNorm norm1, norm2;
  Projection qkv;           // [D, 3D], in groups of a head: its queries, keys or values
  Buffer table_h, table_w;  // [2 window - 1, d]
  Buffer padded;            // [2, D]: key and value of a padded cell, the biases of qkv
  Projection out;           // [D, D]
  Projection mlp0, mlp1;    // [D, M], [M, D]

  RelativePositions positions(int64_t head, int64_t dim) const {
    return {table_h.data(), table_w.data(), padded.data() + head * dim,
            padded.data() + padded.size() / 2 + head * dim};
  }
};

struct EncoderWeights {
  EncoderConfig config;
  Precision precision = Precision::float32;
  Projection patch;  // [3 * 16 * 16, D]: colour, row, column of the pixel
  Buffer position;   // [P, D]
  std::vector<EncoderBlock> blocks;
  NeckWeights neck;

  // Copies what it needs. Throws std::invalid_argument naming the tensor: missing, unknown, another shape,
  // NaN or Inf.
  static EncoderWeights load(const EncoderConfig& config, const TensorMap& tensors, Precision precision);
};

}  // namespace asam
