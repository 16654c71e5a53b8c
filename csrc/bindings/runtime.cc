// asam_trt._runtime: stateful objects. One file a group; this one only names them.
#include "bindings/runtime.h"

PYBIND11_MODULE(_runtime, module) {
  module.doc() = "Stateful objects of asam_trt: the image encoder, the sampler, threads, devices.";
  asam::bind_errors(module);
  asam::bind_threads(module);
  asam::bind_sampler(module);
  asam::bind_encoder(module);
  asam::bind_prior(module);
  asam::bind_cuda(module);
  asam::bind_cuda_sampler(module);
}
