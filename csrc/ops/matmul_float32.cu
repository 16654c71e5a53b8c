#include "ops/matmul_kernel.cuh"

namespace asam::cuda {

template void matmul(const MatmulArgs<float>&, cudaStream_t);
template void prepare_matmul<float>();

}  // namespace asam::cuda
