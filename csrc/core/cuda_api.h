/* The C interface of libasam_cuda.so, the one thing that the CPU modules know of it.
 *
 * Functions return an asam_cuda_status; last_error() then holds the text, for the calling thread. Pointers
 * named d_... are device memory, 16-byte aligned (states and workspaces: 256, as cudaMalloc gives); streams
 * are cudaStream_t. Functions that take a stream only enqueue on it: no allocation, no waiting, no handle
 * made, so they may be captured in a graph. Everything happens on the caller's current device, which has to
 * be the one that the sampler was made on. Change ASAM_CUDA_ABI with any change here.
 *
 * Sizes: e = grid, P = e * e cells, C channels, L latent, K mask tokens, t prompt tokens, n draws of M masks:
 * M = K where separate_masks, else 1, and a draw is a hypothesis.
 */
#pragma once

#include <stdint.h>

#define ASAM_CUDA_ABI 4u

#ifdef __cplusplus
extern "C" {
#endif

enum asam_cuda_status {
  ASAM_CUDA_OK = 0,
  ASAM_CUDA_UNAVAILABLE = 1,  /* no driver, no device, or a driver too old for the runtime */
  ASAM_CUDA_BAD_ARGUMENT = 2, /* the caller's mistake */
  ASAM_CUDA_FAILED = 3,       /* anything else, out of memory included */
};

struct asam_cuda_device {
  char name[256];
  int32_t major, minor; /* compute capability */
  int32_t multiprocessors;
  uint64_t memory_bytes;
};

/* Lives in device memory, so that a captured graph draws new numbers when it is replayed. */
struct asam_cuda_rng {
  uint64_t seed;
  uint64_t start; /* index of the first hypothesis */
};

/* The type that products multiply in; sums, norms and softmax are float32 in each. */
enum asam_cuda_precision {
  ASAM_CUDA_FLOAT32 = 0,
  ASAM_CUDA_BF16 = 1,
  ASAM_CUDA_FP16 = 2,
};

/* csrc/sampler/config.h */
struct asam_cuda_config {
  int64_t side, grid, channels, latent, mask_tokens, heads, depth, mlp_dim, iou_layers, combiner_layers;
  int64_t sampled_tokens, separate_masks; /* 0 or 1 */
};

/* A tensor of sampler.safetensors in host memory, C-contiguous. */
struct asam_cuda_tensor {
  const char* name;
  const float* data;
  const int64_t* shape;
  int64_t rank;
};

struct asam_cuda_sizes { /* bytes */
  uint64_t image_state;
  uint64_t prompt_state;
  uint64_t workspace; /* of sampler_prompt and of sampler_run; grows with n and t, a map needs the most */
};

/* csrc/ops/resize_masks.h */
struct asam_cuda_geometry {
  int64_t low, side, input_h, input_w, out_h, out_w;
};

/* Folded weights in device memory; immutable, shared by reference count, usable on any number of streams. */
typedef struct asam_cuda_sampler asam_cuda_sampler;

/* A sampler with streams, memory and one captured graph a (prompt shape, n). Calls wait for their results.
 * One thread may be in session_image while another is in the other functions; more come one after the other.
 */
typedef struct asam_cuda_session asam_cuda_session;

/* An image or a prompt state of a session, in device memory; immutable. */
typedef struct asam_cuda_state asam_cuda_state;

struct asam_cuda_api {
  uint32_t abi; /* ASAM_CUDA_ABI of the library */
  const char* (*last_error)(void);
  /* outputs: versions as CUDA counts them (13000 = 13.0); driver 0 where none is installed */
  int (*versions)(int32_t* runtime, int32_t* driver);
  int (*device_count)(int32_t* count);
  int (*device)(int32_t index, struct asam_cuda_device* device);
  /* outputs: out [n, 2, dim] in host memory, drawn on the current device and waited for */
  int (*normal_to_host)(uint64_t seed, int64_t n, int64_t dim, int64_t start, float* out);

  /* ---- the sampler, without memory of its own ---- */

  /* inputs: config, tensors [count] (names that begin with prompt. are passed over), asam_cuda_precision
   * outputs: *out, with one reference */
  int (*sampler_create)(const struct asam_cuda_config* config, const struct asam_cuda_tensor* tensors,
                        int64_t count, int32_t precision, asam_cuda_sampler** out);
  void (*sampler_retain)(asam_cuda_sampler* sampler);
  void (*sampler_release)(asam_cuda_sampler* sampler); /* NULL is fine */
  int (*sampler_sizes)(const asam_cuda_sampler* sampler, int64_t n, int64_t t, int32_t dense_is_map,
                       struct asam_cuda_sizes* out);
  /* inputs: d_embedding [C, P]; d_mu, d_sigma [L] of the image latent */
  int (*sampler_image)(const asam_cuda_sampler* sampler, const float* d_embedding, const float* d_mu,
                       const float* d_sigma, void* d_image_state, void* stream);
  /* inputs: d_tokens [t, C] (t = 0: NULL); d_dense [C], or [C, P] where dense_is_map; d_mu, d_sigma [L] of
   * the prompt latent; d_workspace as sampler_sizes says for any n */
  int (*sampler_prompt)(const asam_cuda_sampler* sampler, const float* d_tokens, int64_t t,
                        const float* d_dense, int32_t dense_is_map, const float* d_mu, const float* d_sigma,
                        void* d_prompt_state, void* d_workspace, void* stream);
  /* inputs: states; t and dense_is_map of the prompt; the noise, one of d_eps [n, 2, L] (prompt latent, image
   * latent) and d_rng, the other NULL
   * outputs: d_logits [n M, 4e, 4e], d_scores [n M]
   * Safe on several streams at once, each with a workspace of its own. */
  int (*sampler_run)(const asam_cuda_sampler* sampler, const void* d_image_state, const void* d_prompt_state,
                     int64_t t, int32_t dense_is_map, int64_t n, const float* d_eps,
                     const struct asam_cuda_rng* d_rng, float* d_logits, float* d_scores, void* d_workspace,
                     void* stream);

  /* ---- logits resized as SAM does, thresholded, counted ---- */

  int (*statistics_workspace)(const struct asam_cuda_geometry* geometry, uint64_t* bytes);
  /* inputs: d_logits [n, low, low]
   * outputs, each NULL where not wanted: d_counts [H, W], how many masks hold the pixel; d_areas [n], pixels
   * of each; d_packed [n, words], a bit a pixel as in ops/mask_pairs.h */
  int (*statistics)(const float* d_logits, int64_t n, const struct asam_cuda_geometry* geometry,
                    float threshold, int32_t* d_counts, int64_t* d_areas, uint64_t* d_packed,
                    void* d_workspace, void* stream);

  /* ---- sessions: pointers to data may be host or device memory ---- */

  int (*session_create)(asam_cuda_sampler* sampler, asam_cuda_session** out); /* keeps a reference */
  void (*session_destroy)(asam_cuda_session* session);                        /* NULL is fine */
  /* until the work is done that a stream of the session's device holds */
  int (*session_wait)(asam_cuda_session* session, void* stream);
  int (*session_image)(asam_cuda_session* session, const float* embedding, const float* mu,
                       const float* sigma, asam_cuda_state** out);
  int (*session_prompt)(asam_cuda_session* session, const float* tokens, int64_t t, const float* dense,
                        int32_t dense_is_map, const float* mu, const float* sigma, asam_cuda_state** out);
  void (*state_release)(asam_cuda_state* state); /* may outlive the session; NULL is fine */
  /* inputs: states of this session; the noise, one of eps [n, 2, L] and rng (host memory), the other NULL
   * outputs: logits [n M, 4e, 4e], scores [n M] */
  int (*session_sample)(asam_cuda_session* session, const asam_cuda_state* image,
                        const asam_cuda_state* prompt, int64_t n, const float* eps,
                        const struct asam_cuda_rng* rng, float* logits, float* scores);
  /* logits and outputs as in statistics */
  int (*session_statistics)(asam_cuda_session* session, const float* logits, int64_t n,
                            const struct asam_cuda_geometry* geometry, float threshold, int32_t* counts,
                            int64_t* areas, uint64_t* packed);
  /* outputs: how many graphs it has captured since it was made */
  int (*session_graphs)(const asam_cuda_session* session, int64_t* captured);

  /* memory for results, on the session's device, which may outlive the session
   * copy: between host and device memory, waited for */
  int (*session_device)(const asam_cuda_session* session, int32_t* index);
  int (*session_allocate)(const asam_cuda_session* session, uint64_t bytes, void** d_out);
  void (*release)(void* d_memory);
  int (*copy)(void* to, const void* from, uint64_t bytes);
};

/* The only exported symbol. */
#if defined(__GNUC__)
__attribute__((visibility("default")))
#endif
const struct asam_cuda_api* asam_cuda_get_api(void);

#ifdef __cplusplus
}
#endif
