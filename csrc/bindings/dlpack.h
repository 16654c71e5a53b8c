// The part of DLPack (dmlc/dlpack, version 0.8) that hands out an array in GPU memory.
#pragma once

#include <cstdint>

namespace asam::dlpack {

constexpr std::int32_t kCuda = 2;
constexpr std::uint8_t kFloat = 2;

struct Device {
  std::int32_t type, id;
};

struct Type {
  std::uint8_t code, bits;
  std::uint16_t lanes;
};

struct Array {
  void* data;
  Device device;
  std::int32_t rank;
  Type type;
  std::int64_t* shape;
  std::int64_t* strides;  // null: dense
  std::uint64_t byte_offset;
};

struct Managed {
  Array array;
  void* owner;
  void (*deleter)(Managed*);
};

}  // namespace asam::dlpack
