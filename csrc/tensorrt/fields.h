// What the sampler plugin is made of, as TensorRT hands it over and keeps it in a plan: named fields.
//
//   config            int32 [12]: side, grid, channels, latent, mask_tokens, heads, depth, mlp_dim,
//   iou_layers,
//                     combiner_layers, sampled_tokens, asam_cuda_precision
//   <weight>          float32, a tensor of sampler.safetensors, row by row
//   <weight>.shape    int32 [rank]
//   workspace         int64 [1], bytes that the plan was built with; in a plan only
#pragma once

#include <NvInferRuntime.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core/cuda_api.h"

namespace asam::tensorrt {

inline constexpr const char* kConfig = "config";
inline constexpr const char* kWorkspace = "workspace";
inline constexpr const char* kShapeSuffix = ".shape";

struct Weight {
  std::string name;
  std::vector<float> data;
  std::vector<int32_t> shape;
};

struct SamplerFields {
  asam_cuda_config config{};
  int32_t precision = ASAM_CUDA_FLOAT32;
  uint64_t workspace = 0;  // 0: not known yet
  std::vector<Weight> weights;
};

// Copies everything. Throws std::invalid_argument for a field that is missing, unknown or of another type or
// size.
SamplerFields read_fields(const nvinfer1::PluginFieldCollection& fields);

// The fields of a plugin, for TensorRT to serialise. Points into `fields`, which has to live as long.
class FieldList {
 public:
  FieldList(const SamplerFields& fields, uint64_t workspace);
  FieldList(const FieldList&) = delete;
  FieldList& operator=(const FieldList&) = delete;

  const nvinfer1::PluginFieldCollection* collection() const { return &collection_; }

 private:
  std::vector<int32_t> config_;
  int64_t workspace_;
  std::vector<std::string> shape_names_;
  std::vector<nvinfer1::PluginField> list_;
  nvinfer1::PluginFieldCollection collection_{};
};

}  // namespace asam::tensorrt
