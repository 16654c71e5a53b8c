// Marks a function that the CPU and the GPU code share.
#pragma once

#if defined(__CUDACC__)
#define ASAM_HOST_DEVICE __host__ __device__
#else
#define ASAM_HOST_DEVICE
#endif
