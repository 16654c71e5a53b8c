// The sampler as one node of a TensorRT network: latent sample and mask decoder, over the project's CUDA
// library.
//
// inputs, float32, in this order
//   embedding [1, C, e, e], mu_image [1, L], sigma_image [1, L],
//   tokens [1, t, C], dense [1, C, h, w] with h = w = 1 (no mask prompt) or e, mu_prompt [1, L], sigma_prompt
//   [1, L], eps [n, 2, L] (prompt latent, image latent)
// outputs, float32
//   logits [n, 4e, 4e], scores [n]
//
// One object works in one execution context; clones share the weights. Built against TensorRT's public
// headers, without its library, and the same for versions 10 and 11.
#pragma once

#include <NvInferRuntime.h>

#include <memory>

#include "tensorrt/device_sampler.h"
#include "tensorrt/fields.h"

namespace asam::tensorrt {

inline constexpr const char* kPluginName = "AsamSampler";
inline constexpr const char* kPluginVersion = "1";
inline constexpr const char* kPluginNamespace = "asam";

class SamplerPlugin final : public nvinfer1::IPluginV3,
                            public nvinfer1::IPluginV3OneCore,
                            public nvinfer1::IPluginV3OneBuild,
                            public nvinfer1::IPluginV3OneRuntime {
 public:
  explicit SamplerPlugin(SamplerFields fields);
  SamplerPlugin(const SamplerPlugin& other);
  SamplerPlugin& operator=(const SamplerPlugin&) = delete;
  ~SamplerPlugin() override = default;

  // IPluginV3
  nvinfer1::IPluginCapability* getCapabilityInterface(nvinfer1::PluginCapabilityType type) noexcept override;
  nvinfer1::IPluginV3* clone() noexcept override;

  // IPluginV3OneCore
  const char* getPluginName() const noexcept override { return kPluginName; }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }

  // IPluginV3OneBuild
  int32_t configurePlugin(const nvinfer1::DynamicPluginTensorDesc* in, int32_t inputs,
                          const nvinfer1::DynamicPluginTensorDesc* out, int32_t outputs) noexcept override;
  int32_t getOutputDataTypes(nvinfer1::DataType* types, int32_t outputs,
                             const nvinfer1::DataType* input_types, int32_t inputs) const noexcept override;
  int32_t getOutputShapes(const nvinfer1::DimsExprs* in, int32_t inputs, const nvinfer1::DimsExprs* shape_in,
                          int32_t shape_inputs, nvinfer1::DimsExprs* out, int32_t outputs,
                          nvinfer1::IExprBuilder& builder) noexcept override;
  bool supportsFormatCombination(int32_t position, const nvinfer1::DynamicPluginTensorDesc* all,
                                 int32_t inputs, int32_t outputs) noexcept override;
  int32_t getNbOutputs() const noexcept override { return kOutputs; }
  size_t getWorkspaceSize(const nvinfer1::DynamicPluginTensorDesc* in, int32_t inputs,
                          const nvinfer1::DynamicPluginTensorDesc* out,
                          int32_t outputs) const noexcept override;

  // IPluginV3OneRuntime
  int32_t onShapeChange(const nvinfer1::PluginTensorDesc* in, int32_t inputs,
                        const nvinfer1::PluginTensorDesc* out, int32_t outputs) noexcept override;
  int32_t enqueue(const nvinfer1::PluginTensorDesc* in, const nvinfer1::PluginTensorDesc* out,
                  const void* const* inputs, void* const* outputs, void* workspace,
                  cudaStream_t stream) noexcept override;
  nvinfer1::IPluginV3* attachToContext(nvinfer1::IPluginResourceContext* context) noexcept override;
  const nvinfer1::PluginFieldCollection* getFieldsToSerialize() noexcept override;

 private:
  enum Input { kEmbedding, kMuImage, kSigmaImage, kTokens, kDense, kMuPrompt, kSigmaPrompt, kEps, kInputs };
  enum Output { kLogits, kScores, kOutputs };

  // Throws std::invalid_argument where the extents are not as above.
  Shape checked(const nvinfer1::Dims* const (&dims)[kInputs]) const;
  Shape checked(const nvinfer1::PluginTensorDesc* in) const;
  Shape largest(const nvinfer1::DynamicPluginTensorDesc* in) const;

  std::shared_ptr<DeviceSampler> sampler_;
  std::unique_ptr<FieldList> serialized_;
};

// Runs the body of a method that TensorRT calls: what it throws is printed and becomes `failed`.
template <typename Result, typename Body>
Result guarded(const char* method, Result failed, Body&& body) noexcept;

// One line on the standard error stream. TensorRT's own logger is not used: its vtable is another in 10 and
// in 11.
void report(const char* method, const char* text) noexcept;

template <typename Result, typename Body>
Result guarded(const char* method, Result failed, Body&& body) noexcept {
  try {
    return body();
  } catch (const std::exception& error) {
    report(method, error.what());
  } catch (...) {
    report(method, "unknown error");
  }
  return failed;
}

}  // namespace asam::tensorrt
