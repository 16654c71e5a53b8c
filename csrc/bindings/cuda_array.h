// float32 arrays in GPU memory: ours, which others take as they are, and those of others.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/numpy.h"
#include "core/cuda_loader.h"

namespace asam {

// Dense, on a session's device, owned by whoever shares it.
class CudaArray {
 public:
  CudaArray(const asam_cuda_api& api, const asam_cuda_session* session, std::vector<int64_t> shape);
  ~CudaArray() { api_.release(data_); }
  CudaArray(const CudaArray&) = delete;
  CudaArray& operator=(const CudaArray&) = delete;

  float* data() const { return data_; }
  int32_t device() const { return device_; }
  const std::vector<int64_t>& shape() const { return shape_; }
  int64_t size() const;
  FloatArray to_host() const;

 private:
  const asam_cuda_api& api_;
  std::vector<int64_t> shape_;
  int32_t device_ = 0;
  float* data_ = nullptr;
};

// An argument: a NumPy array, or anything with __cuda_array_interface__; valid as long as the argument is.
struct FloatSource {
  const float* data = nullptr;
  std::vector<int64_t> shape;
  bool on_device = false;
  std::optional<std::uintptr_t> stream;  // on which it is made, to be waited for

  // Throws TypeError or std::invalid_argument naming what was expected and what came: another dtype, another
  // shape (-1 takes any extent), gaps between elements, and NaN or Inf where it is in host memory.
  static FloatSource of(const std::string& name, pybind11::handle value, const std::vector<int64_t>& shape);
};

}  // namespace asam
