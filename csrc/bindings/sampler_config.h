// The sizes of a sampler as a dict, asam_trt.sampler_spec.SamplerConfig.as_dict().
#pragma once

#include <string>
#include <utility>

#include "bindings/numpy.h"
#include "sampler/config.h"

namespace asam {

// Throws std::invalid_argument or TypeError that names the entry at fault.
inline SamplerConfig config_of(const pybind11::dict& entries) {
  namespace py = pybind11;
  SamplerConfig config;
  const std::pair<const char*, int64_t*> sizes[] = {{"side", &config.side},
                                                    {"grid", &config.grid},
                                                    {"channels", &config.channels},
                                                    {"latent", &config.latent},
                                                    {"mask_tokens", &config.mask_tokens},
                                                    {"heads", &config.heads},
                                                    {"depth", &config.depth},
                                                    {"mlp_dim", &config.mlp_dim},
                                                    {"iou_layers", &config.iou_layers},
                                                    {"combiner_layers", &config.combiner_layers}};
  for (const auto& [name, to] : sizes) {
    require(entries.contains(name), "config: expected an entry '", name, "', found none");
    *to = int_of(concat("config['", name, "']"), entries[name]);
  }
  require(entries.contains("mlp_activation"), "config: expected an entry 'mlp_activation', found none");
  const auto activation = py::str(entries["mlp_activation"]).cast<std::string>();
  require(activation == "relu", "config['mlp_activation']: expected 'relu', got '", activation, "'");
  const std::pair<const char*, bool*> choices[] = {{"sampled_tokens", &config.sampled_tokens},
                                                   {"separate_masks", &config.separate_masks}};
  for (const auto& [name, to] : choices) {
    if (!entries.contains(name)) continue;
    require(py::isinstance<py::bool_>(entries[name]), "config['", name, "']: expected a bool");
    *to = entries[name].cast<bool>();
  }
  return config;
}

}  // namespace asam
