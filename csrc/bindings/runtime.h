// The groups that make up asam_trt._runtime.
#pragma once

#include <pybind11/pybind11.h>

namespace asam {

void bind_errors(pybind11::module_& module);        // runtime_errors.cc
void bind_threads(pybind11::module_& module);       // runtime_threads.cc
void bind_sampler(pybind11::module_& module);       // runtime_sampler.cc
void bind_encoder(pybind11::module_& module);       // runtime_encoder.cc
void bind_prior(pybind11::module_& module);         // runtime_prior.cc
void bind_cuda(pybind11::module_& module);          // runtime_cuda.cc
void bind_cuda_sampler(pybind11::module_& module);  // runtime_cuda_sampler.cc

}  // namespace asam
