// What libasam_trt_plugin.so exports: the two functions by which TensorRT, trtexec and C++ programs load
// plugins.
#include <NvInferRuntime.h>

#include <memory>

#include "core/errors.h"
#include "tensorrt/sampler_plugin.h"

namespace asam::tensorrt {
namespace {

class SamplerCreator final : public nvinfer1::IPluginCreatorV3One {
 public:
  nvinfer1::IPluginV3* createPlugin(const char*, const nvinfer1::PluginFieldCollection* fields,
                                    nvinfer1::TensorRTPhase phase) noexcept override {
    return guarded<nvinfer1::IPluginV3*>("createPlugin", nullptr, [&] {
      require(fields != nullptr, "expected fields, came none");
      SamplerFields read = read_fields(*fields);
      const bool planned = phase == nvinfer1::TensorRTPhase::kRUNTIME;
      require(!planned || read.workspace > 0, "expected a field workspace in a plan, came none");
      return std::make_unique<SamplerPlugin>(std::move(read)).release();
    });
  }

  // The weights' names depend on the sizes, so that only the sizes are listed.
  const nvinfer1::PluginFieldCollection* getFieldNames() noexcept override {
    static const nvinfer1::PluginField config{kConfig, nullptr, nvinfer1::PluginFieldType::kINT32, 1};
    static const nvinfer1::PluginFieldCollection names{1, &config};
    return &names;
  }

  const char* getPluginName() const noexcept override { return kPluginName; }
  const char* getPluginVersion() const noexcept override { return kPluginVersion; }
  const char* getPluginNamespace() const noexcept override { return kPluginNamespace; }
};

}  // namespace
}  // namespace asam::tensorrt

#define ASAM_EXPORT extern "C" __attribute__((visibility("default")))

ASAM_EXPORT nvinfer1::IPluginCreatorInterface* const* getCreators(int32_t& count) {
  static asam::tensorrt::SamplerCreator creator;
  static nvinfer1::IPluginCreatorInterface* const creators[] = {&creator};
  count = 1;
  return creators;
}

// Asked for by TensorRT; see report() for why no logger is taken.
ASAM_EXPORT void setLoggerFinder(nvinfer1::ILoggerFinder*) {}
