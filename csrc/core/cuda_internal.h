// The functions behind the table of cuda_api.h, one implementation file a group.
#pragma once

#include "core/cuda_api.h"

namespace asam::cuda {

// device.cu
int versions(int32_t* runtime, int32_t* driver) noexcept;
int device_count(int32_t* count) noexcept;
int device(int32_t index, asam_cuda_device* out) noexcept;
void release(void* d_memory) noexcept;
int copy(void* to, const void* from, uint64_t bytes) noexcept;

// philox.cu
int normal_to_host(uint64_t seed, int64_t n, int64_t dim, int64_t start, float* out) noexcept;

// sampler/cuda_sampler.cu
int sampler_create(const asam_cuda_config* config, const asam_cuda_tensor* tensors, int64_t count,
                   int32_t precision, asam_cuda_sampler** out) noexcept;
void sampler_retain(asam_cuda_sampler* sampler) noexcept;
void sampler_release(asam_cuda_sampler* sampler) noexcept;
int sampler_sizes(const asam_cuda_sampler* sampler, int64_t n, int64_t t, int32_t dense_is_map,
                  asam_cuda_sizes* out) noexcept;
int sampler_image(const asam_cuda_sampler* sampler, const float* d_embedding, const float* d_mu,
                  const float* d_sigma, void* d_image_state, void* stream) noexcept;
int sampler_prompt(const asam_cuda_sampler* sampler, const float* d_tokens, int64_t t, const float* d_dense,
                   int32_t dense_is_map, const float* d_mu, const float* d_sigma, void* d_prompt_state,
                   void* d_workspace, void* stream) noexcept;
int sampler_run(const asam_cuda_sampler* sampler, const void* d_image_state, const void* d_prompt_state,
                int64_t t, int32_t dense_is_map, int64_t n, const float* d_eps, const asam_cuda_rng* d_rng,
                float* d_logits, float* d_scores, void* d_workspace, void* stream) noexcept;
int statistics_workspace(const asam_cuda_geometry* geometry, uint64_t* bytes) noexcept;
int statistics(const float* d_logits, int64_t n, const asam_cuda_geometry* geometry, float threshold,
               int32_t* d_counts, int64_t* d_areas, uint64_t* d_packed, void* d_workspace,
               void* stream) noexcept;

// sampler/cuda_session.cu
int session_create(asam_cuda_sampler* sampler, asam_cuda_session** out) noexcept;
void session_destroy(asam_cuda_session* session) noexcept;
int session_wait(asam_cuda_session* session, void* stream) noexcept;
int session_image(asam_cuda_session* session, const float* embedding, const float* mu, const float* sigma,
                  asam_cuda_state** out) noexcept;
int session_prompt(asam_cuda_session* session, const float* tokens, int64_t t, const float* dense,
                   int32_t dense_is_map, const float* mu, const float* sigma, asam_cuda_state** out) noexcept;
void state_release(asam_cuda_state* state) noexcept;
int session_sample(asam_cuda_session* session, const asam_cuda_state* image, const asam_cuda_state* prompt,
                   int64_t n, const float* eps, const asam_cuda_rng* rng, float* logits,
                   float* scores) noexcept;
int session_statistics(asam_cuda_session* session, const float* logits, int64_t n,
                       const asam_cuda_geometry* geometry, float threshold, int32_t* counts, int64_t* areas,
                       uint64_t* packed) noexcept;
int session_graphs(const asam_cuda_session* session, int64_t* captured) noexcept;
int session_device(const asam_cuda_session* session, int32_t* index) noexcept;
int session_allocate(const asam_cuda_session* session, uint64_t bytes, void** d_out) noexcept;

}  // namespace asam::cuda
