// asam_trt._ops: stateless functions over arrays. One file a group; this one only names them.
#include "bindings/ops.h"

NB_MODULE(_ops, module) {
  module.doc() = "Stateless functions of asam_trt over NumPy arrays.";
  asam::bind_isa(module);
  asam::bind_threads(module);
  asam::bind_masks(module);
  asam::bind_philox(module);
  asam::bind_resize(module);
  asam::bind_image(module);
  asam::bind_pictures(module);
  asam::bind_kernels(module);
  asam::bind_integers(module);
  asam::bind_encoder_ops(module);
}
