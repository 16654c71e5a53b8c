// The groups that make up asam_trt._ops.
#pragma once

#include <nanobind/nanobind.h>

namespace asam {

void bind_isa(nanobind::module_& module);          // ops_isa.cc
void bind_threads(nanobind::module_& module);      // ops_threads.cc
void bind_masks(nanobind::module_& module);        // ops_masks.cc
void bind_philox(nanobind::module_& module);       // ops_philox.cc
void bind_resize(nanobind::module_& module);       // ops_resize.cc
void bind_image(nanobind::module_& module);        // ops_image.cc
void bind_pictures(nanobind::module_& module);     // ops_pictures.cc
void bind_kernels(nanobind::module_& module);      // ops_kernels.cc
void bind_integers(nanobind::module_& module);     // ops_integers.cc
void bind_encoder_ops(nanobind::module_& module);  // ops_encoder.cc

}  // namespace asam
