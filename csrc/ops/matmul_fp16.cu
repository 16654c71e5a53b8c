#include "ops/matmul_kernel.cuh"

namespace asam::cuda {

template void matmul(const MatmulArgs<__half>&, cudaStream_t);
template void prepare_matmul<__half>();

}  // namespace asam::cuda
