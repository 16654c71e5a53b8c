#include "bindings/cuda_array.h"

#include <algorithm>
#include <cmath>

#include "bindings/gil.h"

namespace asam {
namespace {

namespace py = pybind11;

constexpr std::uintptr_t kLegacyStream = 1;  // CUDA's default stream, by cudaStreamLegacy's handle

FloatSource from_device(const std::string& name, const py::object& description) {
  const auto fields = description.cast<py::dict>();
  const auto type = py::str(fields["typestr"]).cast<std::string>();
  if (type != "<f4") throw py::type_error(concat(name, ": expected dtype float32, got ", type));
  FloatSource out;
  out.on_device = true;
  for (const auto& extent : fields["shape"].cast<py::tuple>()) out.shape.push_back(extent.cast<int64_t>());
  if (fields.contains("strides") && !fields["strides"].is_none()) {
    int64_t dense = sizeof(float);
    const auto strides = fields["strides"].cast<std::vector<int64_t>>();
    require(strides.size() == out.shape.size(), name, ": expected a stride an axis");
    for (size_t axis = strides.size(); axis-- > 0; dense *= out.shape[axis]) {
      require(strides[axis] == dense || out.shape[axis] == 1, name,
              ": expected a C-contiguous array, got another layout");
    }
  }
  out.data = reinterpret_cast<const float*>(fields["data"].cast<py::tuple>()[0].cast<std::uintptr_t>());
  // Version 3 of the interface has handles as cudaStreamSynchronize takes them, or None where nothing is to
  // be waited for. Earlier ones, PyTorch's among them, say nothing.
  if (!fields.contains("stream")) {
    out.stream = kLegacyStream;
  } else if (!fields["stream"].is_none()) {
    out.stream = fields["stream"].cast<std::uintptr_t>();
  }
  return out;
}

}  // namespace

CudaArray::CudaArray(const asam_cuda_api& api, const asam_cuda_session* session, std::vector<int64_t> shape)
    : api_(api), shape_(std::move(shape)) {
  cuda_check(api_, api_.session_device(session, &device_));
  void* memory = nullptr;
  cuda_check(api_, api_.session_allocate(session, static_cast<uint64_t>(size()) * sizeof(float), &memory));
  data_ = static_cast<float*>(memory);
}

int64_t CudaArray::size() const {
  int64_t count = 1;
  for (int64_t extent : shape_) count *= extent;
  return count;
}

FloatArray CudaArray::to_host() const {
  FloatArray out(shape_);
  float* data = out.mutable_data();
  const GilRelease release;
  cuda_check(api_, api_.copy(data, data_, static_cast<uint64_t>(size()) * sizeof(float)));
  return out;
}

FloatSource FloatSource::of(const std::string& name, py::handle value, const std::vector<int64_t>& shape) {
  FloatSource out;
  if (!py::isinstance<py::array>(value) && py::hasattr(value, "__cuda_array_interface__")) {
    out = from_device(name, value.attr("__cuda_array_interface__"));
  } else {
    const FloatArray array = as_float32(name, value);
    out.data = array.data();
    out.shape = shape_of(array);
  }
  bool same = out.shape.size() == shape.size();
  for (size_t axis = 0; same && axis < shape.size(); ++axis) {
    same = shape[axis] < 0 || shape[axis] == out.shape[axis];
  }
  require(same, name, ": expected shape ", shape_text(shape), ", got ", shape_text(out.shape));
  if (!out.on_device) {
    int64_t size = 1;
    for (int64_t extent : out.shape) size *= extent;
    require(std::all_of(out.data, out.data + size, [](float x) { return std::isfinite(x); }), name,
            ": expected finite numbers, got NaN or Inf");
  }
  return out;
}

}  // namespace asam
