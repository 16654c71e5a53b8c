// The counts, areas and packed masks of ops/resize_masks.h on the GPU, to the same bits as on the CPU.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>

#include "core/cuda_api.h"

namespace asam::cuda {

// Bytes of workspace. Throws std::invalid_argument where a size is out of range.
std::size_t statistics_room(const asam_cuda_geometry& geometry);

// inputs
//   logits    [n, low, low]
// outputs, each null where not wanted
//   counts    [H, W]      how many of the n masks hold the pixel
//   areas     [n]         pixels in each mask
//   packed    [n, words]  a bit a pixel, ops/mask_pairs.h
// Enqueues.
void mask_statistics(const float* logits, std::int64_t n, const asam_cuda_geometry& geometry, float threshold,
                     std::int32_t* counts, std::int64_t* areas, std::uint64_t* packed, void* workspace,
                     cudaStream_t stream);

// Once a device, before the first call of it.
void prepare_statistics();

}  // namespace asam::cuda
