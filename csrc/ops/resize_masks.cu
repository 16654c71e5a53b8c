// Compiled without fused multiply-adds: see ops/resize_taps.h.
#include "ops/resize_masks.cuh"

#include "core/cuda_device.cuh"
#include "core/errors.h"
#include "ops/resize_taps.h"

namespace asam::cuda {
namespace {

constexpr int kThreads = 256;
constexpr int kWordPixels = 64;  // of a packed mask

// outputs: taps [H + W], those of the rows, then those of the columns
__global__ void taps_kernel(const asam_cuda_geometry g, ResizeTap* taps) {
  const std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= g.out_h + g.out_w) return;
  taps[i] = i < g.out_h ? compose_tap(i, g.low, g.side, g.input_h, g.out_h)
                        : compose_tap(i - g.out_h, g.low, g.side, g.input_w, g.out_w);
}

// A thread is a pixel of all masks; blocks cover whole words of 64 pixels.
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(const float* __restrict__ logits, std::int64_t n, const asam_cuda_geometry g,
                      float threshold, const ResizeTap* __restrict__ taps, std::int32_t* counts,
                      unsigned long long* areas, std::uint32_t* packed) {
  const std::int64_t pixels = g.out_h * g.out_w;
  const std::int64_t halves = (pixels + kWordPixels - 1) / kWordPixels * 2;
  const std::int64_t pixel = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  const int lane = threadIdx.x % kWarp;
  const bool inside = pixel < pixels;
  const ResizeTap y = taps[inside ? pixel / g.out_w : 0];
  const ResizeTap x = taps[g.out_h + (inside ? pixel % g.out_w : 0)];
  const float* corner = logits + y.first * g.low + x.first;
  std::int32_t count = 0;
  for (std::int64_t s = 0; s < n; ++s) {
    float row[3];
    for (int t = 0; t < 3; ++t) {
      const float* p = corner + (s * g.low + t) * g.low;
      row[t] = x.weight[0] * p[0] + x.weight[1] * p[1] + x.weight[2] * p[2];
    }
    const float value = y.weight[0] * row[0] + y.weight[1] * row[1] + y.weight[2] * row[2];
    const bool hit = inside && value > threshold;
    count += hit;
    const unsigned together = __ballot_sync(kWholeWarp, hit);
    if (lane != 0) continue;
    if (areas != nullptr && together != 0) {
      atomicAdd(areas + s, static_cast<unsigned long long>(__popc(together)));
    }
    if (packed != nullptr && pixel / kWarp < halves) packed[s * halves + pixel / kWarp] = together;
  }
  if (inside && counts != nullptr) counts[pixel] = count;
}

}  // namespace

std::size_t statistics_room(const asam_cuda_geometry& g) {
  constexpr std::int64_t kMost = std::int64_t{1} << 20;
  require(g.low >= 4 && g.low <= kMostLow, "expected logits of side 4 to ", kMostLow, ", came ", g.low);
  require(g.side >= g.low && g.side <= kMost, "expected a model side from ", g.low, " to ", kMost, ", came ",
          g.side);
  require(g.input_h >= 1 && g.input_h <= g.side && g.input_w >= 1 && g.input_w <= g.side,
          "expected an input size from 1 to ", g.side, ", came ", g.input_h, " x ", g.input_w);
  require(g.out_h >= 1 && g.out_w >= 1 && g.out_h <= kMost && g.out_w <= kMost,
          "expected an output size from 1 to ", kMost, ", came ", g.out_h, " x ", g.out_w);
  return static_cast<std::size_t>(g.out_h + g.out_w) * sizeof(ResizeTap);
}

void prepare_statistics() {
  load_kernel(taps_kernel);
  load_kernel(statistics_kernel);
}

void mask_statistics(const float* logits, std::int64_t n, const asam_cuda_geometry& g, float threshold,
                     std::int32_t* counts, std::int64_t* areas, std::uint64_t* packed, void* workspace,
                     cudaStream_t stream) {
  statistics_room(g);
  require(n >= 0, "expected n >= 0, came ", n);
  auto* taps = static_cast<ResizeTap*>(workspace);
  if (areas != nullptr) {
    check(cudaMemsetAsync(areas, 0, static_cast<std::size_t>(n) * sizeof(*areas), stream), "clearing areas");
  }
  launch("asam.taps", taps_kernel, dim3(blocks_for(g.out_h + g.out_w, kThreads)), kThreads, 0, stream, g,
         taps);
  launch("asam.statistics", statistics_kernel, dim3(blocks_for(g.out_h * g.out_w, kThreads)), kThreads, 0,
         stream, logits, n, g, threshold, static_cast<const ResizeTap*>(taps), counts,
         reinterpret_cast<unsigned long long*>(areas), reinterpret_cast<std::uint32_t*>(packed));
}

}  // namespace asam::cuda
