#include "ops/latents.cuh"

#include "core/cuda_device.cuh"
#include "core/philox.cuh"

namespace asam::cuda {
namespace {

constexpr int kThreads = 128;

// A thread makes four numbers of one latent.
__global__ void latents_kernel(const LatentArgs a) {
  const std::int64_t quads = (a.latent + 3) / 4;
  const std::int64_t index = static_cast<std::int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (index >= a.n * kStreams * quads) return;
  const std::int64_t quad = index % quads, s = index / quads % a.n, which = index / quads / a.n;
  float noise[4];
  const int valid = min(4, static_cast<int>(a.latent - 4 * quad));
  if (a.rng != nullptr) {
    const float4 drawn = normal_block(*a.rng, s, quad, static_cast<std::uint32_t>(which));
    noise[0] = drawn.x, noise[1] = drawn.y, noise[2] = drawn.z, noise[3] = drawn.w;
  } else {
    for (int i = 0; i < valid; ++i) noise[i] = a.eps[(s * kStreams + which) * a.latent + 4 * quad + i];
  }
  const float* mu = which == kPromptStream ? a.mu_prompt : a.mu_image;
  const float* sigma = which == kPromptStream ? a.sigma_prompt : a.sigma_image;
  for (int i = 0; i < valid; ++i) {
    const std::int64_t at = 4 * quad + i;
    a.z[(which * a.n + s) * a.latent + at] = mu[at] + sigma[at] * noise[i];
  }
}

}  // namespace

void prepare_latents() {
  load_kernel(latents_kernel);
}

void sample_latents(const LatentArgs& a, cudaStream_t stream) {
  const unsigned blocks = blocks_for(a.n * kStreams * ((a.latent + 3) / 4), kThreads);
  launch("asam.latents", latents_kernel, dim3(blocks), kThreads, 0, stream, a);
}

}  // namespace asam::cuda
