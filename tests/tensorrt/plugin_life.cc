// Drives the plugin through everything that TensorRT does with it, in its order, on memory of the processor.
//
//   plugin_life <libasam_trt_plugin.so> <case file> [tolerance]
//
// The plugin opens the libasam_cuda.so beside it, or the library that ASAM_CUDA_LIBRARY names. The case file
// holds named arrays, written by test_plugin.py: field:<name>, the fields of the creator; in:<tensor>;
// out:<tensor>, what the CPU's sampler gives.
#include <NvInferRuntime.h>
#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

using namespace nvinfer1;

namespace {

int (*cuda_depth)() = nullptr;
void (*cuda_wait)(void*) = nullptr;
std::atomic<bool> counting = false;
std::atomic<int64_t> allocations = 0;  // of the plugin, not of the CUDA library under it

void expect(bool condition, const std::string& what) {
  if (condition) return;
  std::fprintf(stderr, "expected: %s\n", what.c_str());
  std::exit(1);
}

struct Array {
  bool integers = false;
  std::vector<int64_t> shape;
  std::vector<float> floats;
  std::vector<int32_t> ints;
};
using Arrays = std::map<std::string, Array>;

template <typename T>
T read(std::istream& in) {
  T value{};
  in.read(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

Arrays read_case(const char* path) {
  std::ifstream in(path, std::ios::binary);
  Arrays arrays;
  const auto count = read<uint32_t>(in);
  for (uint32_t i = 0; i < count; ++i) {
    std::string name(read<uint32_t>(in), '\0');
    in.read(name.data(), static_cast<std::streamsize>(name.size()));
    Array array;
    array.integers = read<uint32_t>(in) == 1;
    array.shape.resize(read<uint32_t>(in));
    size_t values = 1;
    for (int64_t& extent : array.shape) values *= static_cast<size_t>(extent = read<int64_t>(in));
    array.floats.resize(array.integers ? 0 : values);
    array.ints.resize(array.integers ? values : 0);
    char* to = array.integers ? reinterpret_cast<char*>(array.ints.data())
                              : reinterpret_cast<char*>(array.floats.data());
    in.read(to, static_cast<std::streamsize>(4 * values));
    arrays.emplace(name, std::move(array));
  }
  expect(in.good(), "a case file that can be read");
  return arrays;
}

// ---- fields: handed over, kept as TensorRT keeps them in a plan, handed over again ----

struct Fields {
  std::vector<std::string> names;
  std::vector<std::vector<char>> data;
  std::vector<PluginField> list;
  PluginFieldCollection collection{};

  void add(const std::string& name, const void* from, PluginFieldType type, int32_t length, size_t bytes) {
    names.push_back(name);
    const char* first = static_cast<const char*>(from);
    data.emplace_back(first, first + bytes);
    list.emplace_back(nullptr, nullptr, type, length);
  }
  const PluginFieldCollection* get() {
    for (size_t i = 0; i < list.size(); ++i) {
      list[i].name = names[i].c_str();
      list[i].data = data[i].data();
    }
    collection = {static_cast<int32_t>(list.size()), list.data()};
    return &collection;
  }
};

constexpr const char* kFieldPrefix = "field:";

std::unique_ptr<Fields> fields_of(const Arrays& arrays, const std::string& without = "") {
  auto fields = std::make_unique<Fields>();
  for (const auto& [name, array] : arrays) {
    if (!name.starts_with(kFieldPrefix) || name == without) continue;
    const std::string plain = name.substr(std::strlen(kFieldPrefix));
    const auto length = static_cast<int32_t>(array.integers ? array.ints.size() : array.floats.size());
    const void* from = array.integers ? static_cast<const void*>(array.ints.data()) : array.floats.data();
    fields->add(plain, from, array.integers ? PluginFieldType::kINT32 : PluginFieldType::kFLOAT32, length,
                4 * static_cast<size_t>(length));
  }
  return fields;
}

std::unique_ptr<Fields> serialised(IPluginV3OneRuntime& runtime) {
  const PluginFieldCollection* found = runtime.getFieldsToSerialize();
  expect(found != nullptr && found->nbFields > 2, "fields to serialise");
  auto fields = std::make_unique<Fields>();
  for (int32_t i = 0; i < found->nbFields; ++i) {
    const PluginField& field = found->fields[i];
    const size_t size = field.type == PluginFieldType::kINT64 ? 8 : 4;
    fields->add(field.name, field.data, field.type, field.length, size * static_cast<size_t>(field.length));
  }
  return fields;
}

// ---- shapes ----

constexpr const char* kInputs[] = {"embedding", "mu_image",  "sigma_image",  "tokens",
                                   "dense",     "mu_prompt", "sigma_prompt", "eps"};
constexpr const char* kOutputs[] = {"logits", "scores"};
constexpr int32_t kNbInputs = 8, kNbOutputs = 2;
enum { kTokens = 3, kDense = 4, kEps = 7 };

Dims dims_of(const std::vector<int64_t>& shape) {
  Dims dims{};
  dims.nbDims = static_cast<int32_t>(shape.size());
  std::copy(shape.begin(), shape.end(), dims.d);
  return dims;
}

PluginTensorDesc desc_of(const Dims& dims) {
  PluginTensorDesc desc{};
  desc.dims = dims;
  desc.type = DataType::kFLOAT;
  desc.format = TensorFormat::kLINEAR;
  return desc;
}

struct Constant final : IDimensionExpr, private apiv::VDimensionExpr {
  explicit Constant(int64_t number) : value(number) { mImpl = this; }
  bool isConstant() const override { return true; }
  int64_t getConstantValue() const override { return value; }
  bool isSizeTensor() const override { return false; }
  int64_t value;
};

struct Expressions final : IExprBuilder, private apiv::VExprBuilder {
  Expressions() { mImpl = this; }
  const IDimensionExpr* constant(int64_t value) override {
    made.push_back(std::make_unique<Constant>(value));
    return made.back().get();
  }
  const IDimensionExpr* operation(DimensionOperation, const IDimensionExpr&, const IDimensionExpr&) override {
    return nullptr;
  }
  const IDimensionExpr* declareSizeTensor(int32_t, const IDimensionExpr&, const IDimensionExpr&) override {
    return nullptr;
  }
  std::vector<std::unique_ptr<Constant>> made;
};

// ---- one execution ----

struct Shapes {
  PluginTensorDesc in[kNbInputs];
  PluginTensorDesc out[kNbOutputs];
};

// The case's shapes with the first n hypotheses.
Shapes shapes_for(const Arrays& arrays, int64_t n) {
  Shapes shapes{};
  for (int32_t i = 0; i < kNbInputs; ++i)
    shapes.in[i] = desc_of(dims_of(arrays.at(std::string("in:") + kInputs[i]).shape));
  for (int32_t i = 0; i < kNbOutputs; ++i)
    shapes.out[i] = desc_of(dims_of(arrays.at(std::string("out:") + kOutputs[i]).shape));
  shapes.in[kEps].dims.d[0] = shapes.out[0].dims.d[0] = shapes.out[1].dims.d[0] = n;
  return shapes;
}

size_t volume(const Dims& dims) {
  size_t count = 1;
  for (int32_t i = 0; i < dims.nbDims; ++i) count *= static_cast<size_t>(dims.d[i]);
  return count;
}

// Runs once and compares with the case; the workspace is exactly as large as the plugin asked for.
void execute(IPluginV3OneRuntime& runtime, const Arrays& arrays, int64_t n, size_t workspace, void* stream,
             double tolerance) {
  constexpr size_t kGuard = 1024;
  const Shapes shapes = shapes_for(arrays, n);
  expect(runtime.onShapeChange(shapes.in, kNbInputs, shapes.out, kNbOutputs) == 0,
         "onShapeChange to succeed");
  const void* inputs[kNbInputs];
  for (int32_t i = 0; i < kNbInputs; ++i)
    inputs[i] = arrays.at(std::string("in:") + kInputs[i]).floats.data();
  std::vector<float> outputs[kNbOutputs];
  void* out[kNbOutputs];
  for (int32_t i = 0; i < kNbOutputs; ++i) {
    outputs[i].assign(volume(shapes.out[i].dims), NAN);
    out[i] = outputs[i].data();
  }
  // From cudaMalloc, thus at a multiple of 256.
  const std::unique_ptr<char, decltype(&std::free)> memory(
      static_cast<char*>(std::aligned_alloc(256, (workspace + kGuard + 255) / 256 * 256)), &std::free);
  std::memset(memory.get() + workspace, 0x3c, kGuard);
  expect(runtime.enqueue(shapes.in, shapes.out, inputs, out, memory.get(),
                         static_cast<cudaStream_t>(stream)) == 0,
         "enqueue to succeed");
  cuda_wait(stream);
  expect(std::all_of(memory.get() + workspace, memory.get() + workspace + kGuard,
                     [](char c) { return c == 0x3c; }),
         "nothing behind the workspace to be written");
  for (int32_t i = 0; i < kNbOutputs; ++i) {
    const std::vector<float>& wanted = arrays.at(std::string("out:") + kOutputs[i]).floats;
    double worst = 0, largest = 0;
    for (size_t k = 0; k < outputs[i].size(); ++k) {
      worst = std::max(worst, static_cast<double>(std::fabs(outputs[i][k] - wanted[k])));
      if (std::isnan(outputs[i][k])) worst = INFINITY;
      largest = std::max(largest, static_cast<double>(std::fabs(wanted[k])));
    }
    expect(worst <= tolerance * std::max(1.0, largest),
           std::string(kOutputs[i]) + " as the CPU's, came " + std::to_string(worst) + " apart");
  }
}

template <typename Interface>
Interface& capability(IPluginV3& plugin, PluginCapabilityType type, const char* kind) {
  IPluginCapability* found = plugin.getCapabilityInterface(type);
  expect(found != nullptr && std::string(found->getInterfaceInfo().kind) == kind,
         std::string("the interface ") + kind);
  return *static_cast<Interface*>(found);
}

IPluginV3OneBuild& build_of(IPluginV3& plugin) {
  return capability<IPluginV3OneBuild>(plugin, PluginCapabilityType::kBUILD, "PLUGIN_V3ONE_BUILD");
}

IPluginV3OneRuntime& runtime_of(IPluginV3& plugin) {
  return capability<IPluginV3OneRuntime>(plugin, PluginCapabilityType::kRUNTIME, "PLUGIN_V3ONE_RUNTIME");
}

using Plugin = std::unique_ptr<IPluginV3>;

IPluginCreatorV3One& creator_of(void* library) {
  const auto creators =
      reinterpret_cast<IPluginCreatorInterface* const* (*)(int32_t&)>(dlsym(library, "getCreators"));
  const auto finder = reinterpret_cast<void (*)(ILoggerFinder*)>(dlsym(library, "setLoggerFinder"));
  expect(creators != nullptr && finder != nullptr, "getCreators and setLoggerFinder");
  finder(nullptr);
  int32_t count = 0;
  IPluginCreatorInterface* const* list = creators(count);
  expect(count == 1 && list != nullptr, "one creator");
  expect(std::string(list[0]->getInterfaceInfo().kind) == "PLUGIN CREATOR_V3ONE", "a creator of version 3");
  auto& creator = *static_cast<IPluginCreatorV3One*>(list[0]);
  expect(std::string(creator.getPluginName()) == "AsamSampler", "the plugin's name");
  expect(std::string(creator.getPluginVersion()) == "1", "the plugin's version");
  expect(std::string(creator.getPluginNamespace()) == "asam", "the plugin's namespace");
  expect(creator.getFieldNames() != nullptr && creator.getFieldNames()->nbFields == 1, "field names");
  return creator;
}

void refuses_bad_fields(IPluginCreatorV3One& creator, const Arrays& arrays) {
  const auto refused = [&](const PluginFieldCollection* fields, TensorRTPhase phase) {
    return creator.createPlugin("sampler", fields, phase) == nullptr;
  };
  expect(refused(nullptr, TensorRTPhase::kBUILD), "no fields to be refused");
  expect(refused(fields_of(arrays, "field:config")->get(), TensorRTPhase::kBUILD), "no config to be refused");
  expect(refused(fields_of(arrays, "field:pe.shape")->get(), TensorRTPhase::kBUILD),
         "no shape to be refused");
  expect(refused(fields_of(arrays, "field:pe")->get(), TensorRTPhase::kBUILD), "a shape alone to be refused");
  expect(refused(fields_of(arrays)->get(), TensorRTPhase::kRUNTIME),
         "a plan without workspace to be refused");
  auto fields = fields_of(arrays);
  fields->get();
  --fields->list.back().length;  // the last weight's shape
  expect(refused(&fields->collection, TensorRTPhase::kBUILD), "a shape that does not fit to be refused");
  fields = fields_of(arrays);
  fields->get();
  fields->list.front().type = PluginFieldType::kDIMS;
  expect(refused(&fields->collection, TensorRTPhase::kBUILD), "another type to be refused");
}

// What the builder does: shapes, formats, configuration, timing. Returns the bytes of workspace.
size_t build(IPluginV3& plugin, const Arrays& arrays, int64_t n, void* stream, double tolerance) {
  IPluginV3OneBuild& builder = build_of(plugin);
  auto& core = capability<IPluginV3OneCore>(plugin, PluginCapabilityType::kCORE, "PLUGIN_V3ONE_CORE");
  expect(std::string(core.getPluginName()) == "AsamSampler", "the plugin's name");
  expect(builder.getNbOutputs() == kNbOutputs, "two outputs");
  DataType types[kNbOutputs] = {DataType::kINT8, DataType::kINT8};
  const DataType given[kNbInputs] = {};
  expect(builder.getOutputDataTypes(types, kNbOutputs, given, kNbInputs) == 0, "output types");
  expect(types[0] == DataType::kFLOAT && types[1] == DataType::kFLOAT, "float32 outputs");

  const Shapes largest = shapes_for(arrays, n);
  Expressions expressions;
  DimsExprs in[kNbInputs]{}, out[kNbOutputs]{};
  for (int32_t i = 0; i < kNbInputs; ++i) {
    in[i].nbDims = largest.in[i].dims.nbDims;
    for (int32_t k = 0; k < in[i].nbDims; ++k) in[i].d[k] = expressions.constant(largest.in[i].dims.d[k]);
  }
  expect(builder.getOutputShapes(in, kNbInputs, nullptr, 0, out, kNbOutputs, expressions) == 0,
         "output shapes");
  for (int32_t i = 0; i < kNbOutputs; ++i) {
    expect(out[i].nbDims == largest.out[i].dims.nbDims, "as many dimensions as the case has");
    for (int32_t k = 0; k < out[i].nbDims; ++k) {
      expect(out[i].d[k]->getConstantValue() == largest.out[i].dims.d[k], "the case's output shape");
    }
  }
  expect(out[0].d[0] == in[kEps].d[0], "as many logits as there is noise, whatever n is");

  DynamicPluginTensorDesc all[kNbInputs + kNbOutputs]{};
  for (int32_t i = 0; i < kNbInputs + kNbOutputs; ++i) {
    all[i].desc = i < kNbInputs ? largest.in[i] : largest.out[i - kNbInputs];
    all[i].min = all[i].opt = all[i].max = all[i].desc.dims;
    for (const DataType type : {DataType::kFLOAT, DataType::kHALF, DataType::kBF16, DataType::kINT32}) {
      for (const TensorFormat format : {TensorFormat::kLINEAR, TensorFormat::kCHW4, TensorFormat::kHWC8}) {
        DynamicPluginTensorDesc* tried = all;
        tried[i].desc.type = type;
        tried[i].desc.format = format;
        const bool wanted = type == DataType::kFLOAT && format == TensorFormat::kLINEAR;
        expect(builder.supportsFormatCombination(i, tried, kNbInputs, kNbOutputs) == wanted,
               "linear float32 alone");
      }
    }
    all[i].desc.type = DataType::kFLOAT;
    all[i].desc.format = TensorFormat::kLINEAR;
  }
  for (const int32_t i : {kTokens, kDense, kEps}) {
    const int32_t first = i == kEps ? 0 : i == kTokens ? 1 : 2, last = i == kDense ? 3 : first;
    for (int32_t k = first; k <= last; ++k) {
      all[i].desc.dims.d[k] = -1;
      all[i].min.d[k] = all[i].opt.d[k] = i == kTokens ? 0 : 1;
    }
  }
  expect(builder.configurePlugin(all, kNbInputs, all + kNbInputs, kNbOutputs) == 0,
         "configurePlugin to succeed");
  expect(builder.configurePlugin(all, kNbInputs, all + kNbInputs, kNbOutputs) == 0, "and to succeed again");
  const size_t workspace = builder.getWorkspaceSize(all, kNbInputs, all + kNbInputs, kNbOutputs);
  expect(workspace > 0, "a workspace");
  expect(builder.configurePlugin(all, kNbInputs - 1, all + kNbInputs, kNbOutputs) != 0,
         "seven inputs to be refused");
  const Dims right = all[0].max;
  all[0].max.d[1] += 1;
  expect(builder.configurePlugin(all, kNbInputs, all + kNbInputs, kNbOutputs) != 0,
         "other channels to be refused");
  all[0].max = right;
  execute(runtime_of(plugin), arrays, n, workspace, stream, tolerance);  // timing
  return workspace;
}

}  // namespace

// GCC sees through one of the two at a time and takes them for a mismatch.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"
void* operator new(std::size_t size) {
  if (counting && cuda_depth() == 0) ++allocations;
  void* memory = std::malloc(size ? size : 1);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}

int main(int count, char** arguments) {
  expect(count >= 3, "arguments: plugin, case, tolerance");
  const double tolerance = count > 3 ? std::atof(arguments[3]) : 1e-4;
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  expect(library != nullptr, std::string("the plugin to load: ") + (library ? "" : dlerror()));
  const char* other = std::getenv("ASAM_CUDA_LIBRARY");
  const std::string path = arguments[1];
  const std::string cuda_path = other ? other : path.substr(0, path.rfind('/')) + "/libasam_cuda.so";
  void* cuda = dlopen(cuda_path.c_str(), RTLD_NOW | RTLD_LOCAL);
  expect(cuda != nullptr, "the CUDA library " + cuda_path);
  // Only host_cuda.cc has these.
  cuda_depth = reinterpret_cast<int (*)()>(dlsym(cuda, "host_cuda_depth"));
  const auto alive = reinterpret_cast<int64_t (*)()>(dlsym(cuda, "host_cuda_alive"));
  // These every library for this program has.
  const auto stream = reinterpret_cast<void* (*)()>(dlsym(cuda, "host_stream_create"));
  cuda_wait = reinterpret_cast<void (*)(void*)>(dlsym(cuda, "host_stream_wait"));
  expect(stream != nullptr && cuda_wait != nullptr, "a library whose streams can be waited for");
  const Arrays arrays = read_case(arguments[2]);
  const int64_t n = arrays.at("in:eps").shape.at(0);

  IPluginCreatorV3One& creator = creator_of(library);
  refuses_bad_fields(creator, arrays);

  // Building: the user's object is cloned into the network, and the builder works on clones of that.
  std::unique_ptr<Fields> plan;
  size_t workspace = 0;
  {
    std::unique_ptr<Fields> given = fields_of(arrays);
    Plugin first(creator.createPlugin("sampler", given->get(), TensorRTPhase::kBUILD));
    expect(first != nullptr, "a plugin");
    given.reset();  // the plugin keeps nothing of the caller's
    const Shapes shapes = shapes_for(arrays, n);
    const void* nothing[kNbInputs]{};
    void* nowhere[kNbOutputs]{};
    expect(runtime_of(*first).enqueue(shapes.in, shapes.out, nothing, nowhere, nullptr, nullptr) != 0,
           "enqueue before there are weights on the device to be refused");
    Plugin network(first->clone());
    first.reset();
    Plugin configured(network->clone());
    workspace = build(*configured, arrays, n, stream(), tolerance);
    Plugin other(network->clone());
    plan = serialised(runtime_of(*other));  // a clone that was not configured itself
  }
  if (alive != nullptr) expect(alive() == 0, "no sampler to be left after the build");

  // Running: the plan's object is attached to each context, which has a stream and a thread of its own.
  Plugin loaded(creator.createPlugin("sampler", plan->get(), TensorRTPhase::kRUNTIME));
  expect(loaded != nullptr, "a plugin from a plan");
  const std::unique_ptr<Fields> again = serialised(runtime_of(*loaded));
  expect(again->names == plan->names && again->data == plan->data, "the same fields from the plan's plugin");
  plan.reset();
  Plugin contexts[] = {Plugin(runtime_of(*loaded).attachToContext(nullptr)),
                       Plugin(runtime_of(*loaded).attachToContext(nullptr))};
  loaded.reset();
  if (alive != nullptr) expect(alive() == 1, "one sampler for both contexts");
  void* const streams[] = {stream(), stream()};
  std::vector<std::thread> threads;
  for (int64_t i = 0; i < 2; ++i) {
    threads.emplace_back([&, i] {
      IPluginV3OneRuntime& runtime = runtime_of(*contexts[i]);
      for (const int64_t few : {n, int64_t{1}}) {
        execute(runtime, arrays, few, workspace, streams[i], tolerance);
        execute(runtime, arrays, few, workspace, streams[i], tolerance);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();

  IPluginV3OneRuntime& runtime = runtime_of(*contexts[0]);
  Shapes shapes = shapes_for(arrays, n);
  const void* inputs[kNbInputs];
  for (int32_t i = 0; i < kNbInputs; ++i)
    inputs[i] = arrays.at(std::string("in:") + kInputs[i]).floats.data();
  std::vector<float> logits(volume(shapes.out[0].dims)), scores(volume(shapes.out[1].dims));
  void* outputs[] = {logits.data(), scores.data()};
  const std::unique_ptr<char, decltype(&std::free)> memory(
      static_cast<char*>(std::aligned_alloc(256, (workspace + 255) / 256 * 256)), &std::free);
  counting = cuda_depth != nullptr;
  const auto handle = static_cast<cudaStream_t>(streams[0]);
  const int32_t status = runtime.enqueue(shapes.in, shapes.out, inputs, outputs, memory.get(), handle);
  counting = false;
  cuda_wait(handle);
  expect(status == 0 && allocations == 0, "enqueue to allocate nothing");
  shapes.in[kEps].dims.d[0] = n + 1000;
  expect(runtime.enqueue(shapes.in, shapes.out, inputs, outputs, memory.get(), nullptr) != 0,
         "more than the workspace holds to be refused");
  shapes.in[kEps].dims.d[1] = 3;
  expect(runtime.onShapeChange(shapes.in, kNbInputs, shapes.out, kNbOutputs) != 0,
         "another shape to be refused");
  for (Plugin& context : contexts) context.reset();
  if (alive != nullptr) expect(alive() == 0, "no sampler to be left");
  std::puts("the plugin lived");
  return 0;
}
