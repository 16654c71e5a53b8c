// Exceptions inside the CUDA library, status codes at its boundary, and owners of what CUDA hands out.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <exception>
#include <stdexcept>
#include <string>
#include <utility>

#include "core/cuda_api.h"

namespace asam::cuda {

// A CUDA call that failed, with what was being done.
class CudaError : public std::runtime_error {
 public:
  CudaError(cudaError_t code, const std::string& doing)
      : std::runtime_error(doing + ": " + cudaGetErrorString(code) + " (" + cudaGetErrorName(code) + ")"),
        code_(code) {}
  cudaError_t code() const { return code_; }

 private:
  cudaError_t code_;
};

inline void check(cudaError_t code, const char* doing) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // else a later, innocent check would report this error again
  throw CudaError(code, doing);
}

inline bool means_unavailable(cudaError_t code) {
  return code == cudaErrorNoDevice || code == cudaErrorInsufficientDriver ||
         code == cudaErrorSystemDriverMismatch || code == cudaErrorSystemNotReady ||
         code == cudaErrorCompatNotSupportedOnDevice || code == cudaErrorNoKernelImageForDevice ||
         code == cudaErrorStubLibrary;
}

inline std::string& last_error_text() {
  static thread_local std::string text;
  return text;
}

// Runs the body of an exported function: no exception leaves the library.
template <typename Body>
int boundary(Body&& body) noexcept {
  int status = ASAM_CUDA_FAILED;
  const char* text = "unknown error";
  try {
    try {
      std::forward<Body>(body)();
      return ASAM_CUDA_OK;
    } catch (const CudaError& error) {
      status = means_unavailable(error.code()) ? ASAM_CUDA_UNAVAILABLE : ASAM_CUDA_FAILED;
      last_error_text() = error.what();
    } catch (const std::invalid_argument& error) {
      status = ASAM_CUDA_BAD_ARGUMENT;
      last_error_text() = error.what();
    } catch (const std::exception& error) {
      last_error_text() = error.what();
    } catch (...) {
      last_error_text() = text;
    }
  } catch (...) {
    last_error_text().clear();  // no memory for the text: the status has to do
  }
  return status;
}

// Device memory of count elements.
template <typename T>
class DeviceArray {
 public:
  explicit DeviceArray(std::size_t count) : count_(count) {
    check(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)), "allocating device memory");
  }
  ~DeviceArray() { cudaFree(data_); }
  DeviceArray(const DeviceArray&) = delete;
  DeviceArray& operator=(const DeviceArray&) = delete;
  T* data() const { return data_; }
  std::size_t count() const { return count_; }

 private:
  std::size_t count_;
  T* data_ = nullptr;
};

// A stream of its own; the default stream would wait for everyone else's work.
class Stream {
 public:
  Stream() { check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "creating a stream"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;
  cudaStream_t get() const { return stream_; }
  void wait() const { check(cudaStreamSynchronize(stream_), "waiting for a stream"); }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace asam::cuda
