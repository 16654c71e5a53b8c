// Streams of the emulated CUDA (tests/cuda/emulation), for plugin_life.cc; linked with the emulated kernels.
#include <cuda_runtime_api.h>

extern "C" __attribute__((visibility("default"))) void* host_stream_create() {
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  return stream;
}

extern "C" __attribute__((visibility("default"))) void host_stream_wait(void* stream) {
  cudaStreamSynchronize(static_cast<cudaStream_t>(stream));
}
