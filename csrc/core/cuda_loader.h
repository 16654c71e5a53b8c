// Opens libasam_cuda.so, which lies next to the module that holds this code, the first time it is needed.
// Tests name another library in ASAM_CUDA_LIBRARY: the same sources compiled for the CPU (tests/cuda).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/cuda_api.h"

namespace asam {

// The library's functions. BackendUnavailable where it was not built or cannot be opened.
const asam_cuda_api& cuda_api();

// Throws what a status means: BackendUnavailable, std::invalid_argument or std::runtime_error, with the
// library's text.
void cuda_check(const asam_cuda_api& api, int status);

// What of CUDA is here; asking fails for no reason, missing parts are told in `problem`.
struct CudaReport {
  std::string library;       // path of the opened library; empty where there is none
  std::string problem;       // why CUDA cannot run here; empty where it can
  std::int32_t runtime = 0;  // version, 13000 = 13.0; 0 where unknown
  std::int32_t driver = 0;   // likewise; 0 where no driver is installed
  std::vector<asam_cuda_device> devices;
};
CudaReport cuda_report();

// philox_normal computed on the current GPU; out [n, 2, dim] in host memory.
void cuda_philox_normal(std::uint64_t seed, std::int64_t n, std::int64_t dim, std::int64_t start, float* out);

}  // namespace asam
