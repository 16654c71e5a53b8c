#include "ops/matmul_kernel.cuh"

namespace asam::cuda {

template void matmul(const MatmulArgs<__nv_bfloat16>&, cudaStream_t);
template void prepare_matmul<__nv_bfloat16>();

}  // namespace asam::cuda
