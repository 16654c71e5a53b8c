#include "tensorrt/sampler_plugin.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "core/cuda_loader.h"
#include "core/errors.h"

namespace asam::tensorrt {
namespace {

using nvinfer1::DataType;
using nvinfer1::Dims;
using nvinfer1::DynamicPluginTensorDesc;
using nvinfer1::PluginTensorDesc;
using nvinfer1::TensorFormat;

constexpr int32_t kOk = 0;
constexpr int32_t kFailed = 1;

std::string text_of(const Dims& dims) {
  std::string text = "[";
  for (int32_t i = 0; i < dims.nbDims; ++i) text += concat(i ? ", " : "", dims.d[i]);
  return text + "]";
}

void expect(const char* name, const Dims& dims, std::initializer_list<int64_t> wanted) {
  if (dims.nbDims == static_cast<int32_t>(wanted.size()) &&
      std::equal(wanted.begin(), wanted.end(), dims.d)) {
    return;  // before there is a text: enqueue comes here too
  }
  std::string text;
  for (const int64_t extent : wanted) text += concat(text.empty() ? "" : ", ", extent);
  throw std::invalid_argument(concat(name, ": expected [", text, "], came ", text_of(dims)));
}

}  // namespace

SamplerPlugin::SamplerPlugin(SamplerFields fields)
    : sampler_(std::make_shared<DeviceSampler>(std::move(fields))) {}

SamplerPlugin::SamplerPlugin(const SamplerPlugin& other)
    : nvinfer1::IPluginV3(other),
      nvinfer1::IPluginV3OneCore(other),
      nvinfer1::IPluginV3OneBuild(other),
      nvinfer1::IPluginV3OneRuntime(other),
      sampler_(other.sampler_) {}

nvinfer1::IPluginCapability* SamplerPlugin::getCapabilityInterface(
    nvinfer1::PluginCapabilityType type) noexcept {
  switch (type) {
    case nvinfer1::PluginCapabilityType::kCORE:
      return static_cast<nvinfer1::IPluginV3OneCore*>(this);
    case nvinfer1::PluginCapabilityType::kBUILD:
      return static_cast<nvinfer1::IPluginV3OneBuild*>(this);
    case nvinfer1::PluginCapabilityType::kRUNTIME:
      return static_cast<nvinfer1::IPluginV3OneRuntime*>(this);
  }
  return nullptr;
}

nvinfer1::IPluginV3* SamplerPlugin::clone() noexcept {
  return guarded<nvinfer1::IPluginV3*>("clone", nullptr,
                                       [&] { return std::make_unique<SamplerPlugin>(*this).release(); });
}

int32_t SamplerPlugin::configurePlugin(const DynamicPluginTensorDesc* in, int32_t inputs,
                                       const DynamicPluginTensorDesc*, int32_t outputs) noexcept {
  return guarded("configurePlugin", kFailed, [&] {
    require(inputs == kInputs && outputs == kOutputs, "expected ", int{kInputs}, " inputs and ",
            int{kOutputs}, " outputs, came ", inputs, " and ", outputs);
    const Shape shape = largest(in);
    sampler_->load();
    sampler_->grant(sampler_->layout(shape).total);
    return kOk;
  });
}

int32_t SamplerPlugin::getOutputDataTypes(DataType* types, int32_t outputs, const DataType*,
                                          int32_t) const noexcept {
  std::fill_n(types, outputs, DataType::kFLOAT);
  return kOk;
}

int32_t SamplerPlugin::getOutputShapes(const nvinfer1::DimsExprs* in, int32_t inputs,
                                       const nvinfer1::DimsExprs*, int32_t, nvinfer1::DimsExprs* out,
                                       int32_t outputs, nvinfer1::IExprBuilder& builder) noexcept {
  return guarded("getOutputShapes", kFailed, [&] {
    require(inputs == kInputs && outputs == kOutputs, "expected ", int{kInputs}, " inputs and ",
            int{kOutputs}, " outputs, came ", inputs, " and ", outputs);
    const nvinfer1::IDimensionExpr* n = in[kEps].d[0];
    const nvinfer1::IDimensionExpr* side = builder.constant(4 * sampler_->fields().config.grid);
    out[kLogits].nbDims = 3;
    out[kLogits].d[0] = n;
    out[kLogits].d[1] = out[kLogits].d[2] = side;
    out[kScores].nbDims = 1;
    out[kScores].d[0] = n;
    return kOk;
  });
}

bool SamplerPlugin::supportsFormatCombination(int32_t position, const DynamicPluginTensorDesc* all, int32_t,
                                              int32_t) noexcept {
  const PluginTensorDesc& desc = all[position].desc;
  return desc.type == DataType::kFLOAT && desc.format == TensorFormat::kLINEAR;
}

size_t SamplerPlugin::getWorkspaceSize(const DynamicPluginTensorDesc*, int32_t,
                                       const DynamicPluginTensorDesc*, int32_t) const noexcept {
  return static_cast<size_t>(sampler_->granted());  // of the largest shapes that configurePlugin saw
}

int32_t SamplerPlugin::onShapeChange(const PluginTensorDesc* in, int32_t inputs, const PluginTensorDesc*,
                                     int32_t outputs) noexcept {
  return guarded("onShapeChange", kFailed, [&] {
    require(inputs == kInputs && outputs == kOutputs, "expected ", int{kInputs}, " inputs and ",
            int{kOutputs}, " outputs, came ", inputs, " and ", outputs);
    checked(in);
    return kOk;
  });
}

int32_t SamplerPlugin::enqueue(const PluginTensorDesc* in, const PluginTensorDesc*, const void* const* inputs,
                               void* const* outputs, void* workspace, cudaStream_t stream) noexcept {
  return guarded("enqueue", kFailed, [&] {
    const Shape shape = checked(in);
    const Layout layout = sampler_->layout(shape);
    require(layout.total <= sampler_->granted(), "the plan was built with ", sampler_->granted(),
            " bytes of workspace, and this version of ", "libasam_cuda.so needs ", layout.total,
            "; build the plan again");
    const asam_cuda_api& api = sampler_->api();
    const asam_cuda_sampler* sampler = sampler_->get();
    const auto input = [&](Input i) { return static_cast<const float*>(inputs[i]); };
    char* const image_state = static_cast<char*>(workspace);
    char* const prompt_state = image_state + layout.prompt_state;
    char* const scratch = image_state + layout.workspace;
    const int32_t map = shape.map ? 1 : 0;
    cuda_check(api, api.sampler_image(sampler, input(kEmbedding), input(kMuImage), input(kSigmaImage),
                                      image_state, stream));
    cuda_check(
        api, api.sampler_prompt(sampler, shape.t > 0 ? input(kTokens) : nullptr, shape.t, input(kDense), map,
                                input(kMuPrompt), input(kSigmaPrompt), prompt_state, scratch, stream));
    cuda_check(api, api.sampler_run(sampler, image_state, prompt_state, shape.t, map, shape.n, input(kEps),
                                    nullptr, static_cast<float*>(outputs[kLogits]),
                                    static_cast<float*>(outputs[kScores]), scratch, stream));
    return kOk;
  });
}

nvinfer1::IPluginV3* SamplerPlugin::attachToContext(nvinfer1::IPluginResourceContext*) noexcept {
  return guarded<nvinfer1::IPluginV3*>("attachToContext", nullptr, [&] {
    sampler_->load();  // enqueue may not allocate
    return std::make_unique<SamplerPlugin>(*this).release();
  });
}

const nvinfer1::PluginFieldCollection* SamplerPlugin::getFieldsToSerialize() noexcept {
  return guarded<const nvinfer1::PluginFieldCollection*>("getFieldsToSerialize", nullptr, [&] {
    serialized_ = std::make_unique<FieldList>(sampler_->fields(), sampler_->granted());
    return serialized_->collection();
  });
}

Shape SamplerPlugin::checked(const Dims* const (&dims)[kInputs]) const {
  const asam_cuda_config& config = sampler_->fields().config;
  const int64_t c = config.channels, e = config.grid;
  expect("embedding", *dims[kEmbedding], {1, c, e, e});
  const std::pair<Input, const char*> latents[] = {{kMuImage, "mu_image"},
                                                   {kSigmaImage, "sigma_image"},
                                                   {kMuPrompt, "mu_prompt"},
                                                   {kSigmaPrompt, "sigma_prompt"}};
  for (const auto& [index, name] : latents) expect(name, *dims[index], {1, config.latent});
  const Dims& tokens = *dims[kTokens];
  const int64_t t = tokens.nbDims == 3 ? std::max<int64_t>(tokens.d[1], 0) : 0;
  expect("tokens", tokens, {1, t, c});
  const Dims& dense = *dims[kDense];
  const bool map = dense.nbDims == 4 && dense.d[2] == e && e > 1;
  expect("dense", dense, {1, c, map ? e : 1, map ? e : 1});
  const Dims& eps = *dims[kEps];
  const int64_t n = eps.nbDims == 3 ? std::max<int64_t>(eps.d[0], 1) : 1;
  expect("eps", eps, {n, 2, config.latent});
  return {n, t, map};
}

Shape SamplerPlugin::checked(const PluginTensorDesc* in) const {
  const Dims* dims[kInputs];
  for (int i = 0; i < kInputs; ++i) dims[i] = &in[i].dims;
  return checked(dims);
}

Shape SamplerPlugin::largest(const DynamicPluginTensorDesc* in) const {
  const Dims* dims[kInputs];
  for (int i = 0; i < kInputs; ++i) dims[i] = &in[i].max;
  return checked(dims);
}

void report(const char* method, const char* text) noexcept {
  std::fprintf(stderr, "asam TensorRT plugin, %s: %s\n", method, text);
}

}  // namespace asam::tensorrt
