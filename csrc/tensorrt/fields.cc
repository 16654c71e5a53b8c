#include "tensorrt/fields.h"

#include <map>
#include <string_view>
#include <utility>

#include "core/errors.h"

namespace asam::tensorrt {
namespace {

using nvinfer1::PluginField;
using nvinfer1::PluginFieldType;

// The sizes in the order of the field; the precision follows them.
constexpr int64_t asam_cuda_config::* kSizes[] = {
    &asam_cuda_config::side,           &asam_cuda_config::grid,
    &asam_cuda_config::channels,       &asam_cuda_config::latent,
    &asam_cuda_config::mask_tokens,    &asam_cuda_config::heads,
    &asam_cuda_config::depth,          &asam_cuda_config::mlp_dim,
    &asam_cuda_config::iou_layers,     &asam_cuda_config::combiner_layers,
    &asam_cuda_config::sampled_tokens,
};
constexpr int32_t kConfigLength = static_cast<int32_t>(std::size(kSizes)) + 1;

template <typename T>
std::vector<T> values(const PluginField& field, PluginFieldType type, const char* what) {
  require(field.type == type, "field ", field.name, ": expected ", what, ", came type ",
          static_cast<int32_t>(field.type));
  require(field.length >= 0 && (field.length == 0 || field.data != nullptr), "field ", field.name,
          ": expected data, came none");
  const T* first = static_cast<const T*>(field.data);
  return std::vector<T>(first, first + field.length);
}

void read_config(const PluginField& field, SamplerFields& out) {
  const std::vector<int32_t> numbers = values<int32_t>(field, PluginFieldType::kINT32, "int32");
  require(field.length == kConfigLength, "field config: expected ", kConfigLength, " numbers, came ",
          field.length);
  for (size_t i = 0; i < std::size(kSizes); ++i) out.config.*kSizes[i] = numbers[i];
  out.precision = numbers.back();
  require(out.precision >= ASAM_CUDA_FLOAT32 && out.precision <= ASAM_CUDA_FP16,
          "field config: expected a precision of 0 (float32), 1 (bf16) or 2 (fp16), came ", out.precision);
}

// Each shape joins the weight whose name it carries.
void join(Weight& weight, std::map<std::string, std::vector<int32_t>>& shapes) {
  const auto found = shapes.find(weight.name + kShapeSuffix);
  require(found != shapes.end(), "field ", weight.name, ": expected a field ", weight.name, kShapeSuffix,
          " too");
  weight.shape = std::move(found->second);
  shapes.erase(found);
  uint64_t count = 1;
  for (const int32_t extent : weight.shape) {
    require(extent >= 1, "field ", weight.name, kShapeSuffix, ": expected positive numbers, came ", extent);
    count *= static_cast<uint64_t>(extent);
    require(count <= weight.data.size(), "field ", weight.name, ": expected at least ", count,
            " numbers, came ", weight.data.size());
  }
  require(count == weight.data.size(), "field ", weight.name, ": expected ", count, " numbers, came ",
          weight.data.size());
}

}  // namespace

SamplerFields read_fields(const nvinfer1::PluginFieldCollection& fields) {
  SamplerFields out;
  bool has_config = false;
  std::map<std::string, std::vector<int32_t>> shapes;
  for (int32_t i = 0; i < fields.nbFields; ++i) {
    const PluginField& field = fields.fields[i];
    require(field.name != nullptr, "field ", i, ": expected a name, came none");
    const std::string_view name = field.name;
    if (name == kConfig) {
      read_config(field, out);
      has_config = true;
    } else if (name == kWorkspace) {
      const std::vector<int64_t> bytes = values<int64_t>(field, PluginFieldType::kINT64, "int64");
      require(bytes.size() == 1 && bytes[0] >= 0, "field workspace: expected one number of bytes");
      out.workspace = static_cast<uint64_t>(bytes[0]);
    } else if (name.ends_with(kShapeSuffix)) {
      shapes.emplace(name, values<int32_t>(field, PluginFieldType::kINT32, "int32"));
    } else {
      out.weights.push_back(
          {std::string(name), values<float>(field, PluginFieldType::kFLOAT32, "float32"), {}});
    }
  }
  require(has_config, "expected a field config, came none");
  for (Weight& weight : out.weights) join(weight, shapes);
  require(shapes.empty(), "expected a weight for every shape, came none for ",
          shapes.empty() ? "" : shapes.begin()->first);
  return out;
}

FieldList::FieldList(const SamplerFields& fields, uint64_t workspace)
    : workspace_(static_cast<int64_t>(workspace)) {
  for (const auto size : kSizes) config_.push_back(static_cast<int32_t>(fields.config.*size));
  config_.push_back(fields.precision);
  list_.emplace_back(kConfig, config_.data(), PluginFieldType::kINT32, kConfigLength);
  list_.emplace_back(kWorkspace, &workspace_, PluginFieldType::kINT64, 1);
  shape_names_.reserve(fields.weights.size());  // the list points into it
  for (const Weight& weight : fields.weights) {
    shape_names_.push_back(weight.name + kShapeSuffix);
    list_.emplace_back(weight.name.c_str(), weight.data.data(), PluginFieldType::kFLOAT32,
                       static_cast<int32_t>(weight.data.size()));
    list_.emplace_back(shape_names_.back().c_str(), weight.shape.data(), PluginFieldType::kINT32,
                       static_cast<int32_t>(weight.shape.size()));
  }
  collection_ = {static_cast<int32_t>(list_.size()), list_.data()};
}

}  // namespace asam::tensorrt
