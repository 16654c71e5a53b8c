#include "core/cuda_api.h"

#include "core/cuda_internal.h"
#include "core/cuda_status.cuh"

extern "C" const asam_cuda_api* asam_cuda_get_api(void) {
  static const asam_cuda_api api = {
      .abi = ASAM_CUDA_ABI,
      .last_error = [] { return asam::cuda::last_error_text().c_str(); },
      .versions = asam::cuda::versions,
      .device_count = asam::cuda::device_count,
      .device = asam::cuda::device,
      .normal_to_host = asam::cuda::normal_to_host,
      .sampler_create = asam::cuda::sampler_create,
      .sampler_retain = asam::cuda::sampler_retain,
      .sampler_release = asam::cuda::sampler_release,
      .sampler_sizes = asam::cuda::sampler_sizes,
      .sampler_image = asam::cuda::sampler_image,
      .sampler_prompt = asam::cuda::sampler_prompt,
      .sampler_run = asam::cuda::sampler_run,
      .statistics_workspace = asam::cuda::statistics_workspace,
      .statistics = asam::cuda::statistics,
      .session_create = asam::cuda::session_create,
      .session_destroy = asam::cuda::session_destroy,
      .session_wait = asam::cuda::session_wait,
      .session_image = asam::cuda::session_image,
      .session_prompt = asam::cuda::session_prompt,
      .state_release = asam::cuda::state_release,
      .session_sample = asam::cuda::session_sample,
      .session_statistics = asam::cuda::session_statistics,
      .session_graphs = asam::cuda::session_graphs,
      .session_device = asam::cuda::session_device,
      .session_allocate = asam::cuda::session_allocate,
      .release = asam::cuda::release,
      .copy = asam::cuda::copy,
  };
  return &api;
}
