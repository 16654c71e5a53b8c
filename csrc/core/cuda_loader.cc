#include "core/cuda_loader.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>

#include "core/errors.h"
#include "core/philox.h"

namespace asam {
namespace {

constexpr const char* kLibrary = "libasam_cuda.so";

// Names another library, for the tests that run the kernels on the CPU.
constexpr const char* kOtherLibrary = "ASAM_CUDA_LIBRARY";

std::filesystem::path library_path() {
  if (const char* other = std::getenv(kOtherLibrary); other != nullptr && *other != '\0') return other;
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&cuda_api), &info) == 0 || info.dli_fname == nullptr) {
    throw BackendUnavailable(
        concat("cannot tell where this module lies, so neither where ", kLibrary, " is"));
  }
  return std::filesystem::absolute(info.dli_fname).parent_path() / kLibrary;
}

const asam_cuda_api* open_library(const std::filesystem::path& path) {
  if (!std::filesystem::exists(path)) {
    throw BackendUnavailable(
        concat("this installation has no CUDA code (no ", path.string(),
               "); reinstall where nvcc is found: pip install . -Ccmake.define.ASAM_CUDA=ON"));
  }
  // Never closed: CUDA keeps state that does not survive unloading.
  void* handle = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) {
    const char* why = dlerror();
    throw BackendUnavailable(concat("cannot open ", path.string(), ": ", why ? why : "unknown reason"));
  }
  const auto get_api = reinterpret_cast<decltype(&asam_cuda_get_api)>(dlsym(handle, "asam_cuda_get_api"));
  if (get_api == nullptr || get_api()->abi != ASAM_CUDA_ABI) {
    throw BackendUnavailable(concat(path.string(),
                                    " belongs to another version of this package (expected interface ",
                                    ASAM_CUDA_ABI, "); reinstall it"));
  }
  return get_api();
}

}  // namespace

const asam_cuda_api& cuda_api() {
  static std::mutex mutex;
  static std::map<std::string, const asam_cuda_api*> opened;
  const std::filesystem::path path = library_path();
  const std::lock_guard lock(mutex);
  const asam_cuda_api*& api = opened[path.string()];
  if (api == nullptr) api = open_library(path);
  return *api;
}

void cuda_check(const asam_cuda_api& api, int status) {
  switch (status) {
    case ASAM_CUDA_OK:
      return;
    case ASAM_CUDA_UNAVAILABLE:
      throw BackendUnavailable(
          concat(api.last_error(), "; an NVIDIA GPU with a recent driver is needed (see nvidia-smi)"));
    case ASAM_CUDA_BAD_ARGUMENT:
      throw std::invalid_argument(api.last_error());
    default:
      throw std::runtime_error(api.last_error());
  }
}

CudaReport cuda_report() {
  CudaReport report;
  try {
    const asam_cuda_api& api = cuda_api();
    report.library = library_path().string();
    cuda_check(api, api.versions(&report.runtime, &report.driver));
    std::int32_t count = 0;
    cuda_check(api, api.device_count(&count));
    for (std::int32_t index = 0; index < count; ++index) {
      asam_cuda_device device{};
      cuda_check(api, api.device(index, &device));
      report.devices.push_back(device);
    }
    if (count == 0) report.problem = "no CUDA device";
  } catch (const std::exception& error) {
    report.problem = error.what();
  }
  return report;
}

void cuda_philox_normal(std::uint64_t seed, std::int64_t n, std::int64_t dim, std::int64_t start,
                        float* out) {
  philox_check(n, dim, start);
  const asam_cuda_api& api = cuda_api();
  cuda_check(api, api.normal_to_host(seed, n, dim, start, out));
}

}  // namespace asam
