// NumPy arrays that own the memory a C++ function filled.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <new>

#include "core/tensor.h"

namespace asam {

// Memory for an array, uninitialised. What is so large that the C library gives it back to the system when it
// is freed comes in huge pages where there are any: to touch small ones for the first time takes longer than
// most of what fills them here.
inline std::unique_ptr<void, decltype(&std::free)> new_memory(std::size_t bytes) {
  constexpr std::size_t kHugePage = std::size_t{1} << 21, kMuch = std::size_t{1} << 24;
  const bool much = bytes > kMuch;
  const std::size_t whole = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* memory = much ? std::aligned_alloc(kHugePage, whole) : std::malloc(std::max<std::size_t>(bytes, 1));
  if (memory == nullptr) throw std::bad_alloc();
#if defined(MADV_HUGEPAGE)
  if (much) madvise(memory, whole, MADV_HUGEPAGE);  // a wish, which may be refused
#endif
  return {memory, &std::free};
}

// An uninitialised C-contiguous array of the shape.
template <typename T, std::size_t Rank>
nanobind::ndarray<nanobind::numpy, T, nanobind::ndim<Rank>, nanobind::c_contig> new_array(
    const Shape<Rank>& shape) {
  const Tensor<T, Rank> checked(nullptr, shape);
  auto data = new_memory(static_cast<std::size_t>(checked.size()) * sizeof(T));
  std::array<std::size_t, Rank> extents;
  for (std::size_t axis = 0; axis < Rank; ++axis) extents[axis] = static_cast<std::size_t>(shape[axis]);
  nanobind::capsule owner(data.get(), [](void* memory) noexcept { std::free(memory); });
  return {static_cast<T*>(data.release()), Rank, extents.data(), owner};
}

// A view of a contiguous array argument.
template <typename T, typename... Options>
auto view(const nanobind::ndarray<T, Options...>& array) {
  constexpr std::size_t rank = nanobind::ndarray<T, Options...>::Config::N::value;
  Shape<rank> shape;
  for (std::size_t axis = 0; axis < rank; ++axis) shape[axis] = static_cast<std::int64_t>(array.shape(axis));
  return Tensor<T, rank>(array.data(), shape);
}

}  // namespace asam
