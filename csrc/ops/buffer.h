// Cache-line aligned storage of numbers, allocated once and zeroed.
#pragma once

#include <cstdint>
#include <memory>
#include <new>

namespace asam {

template <class T>
class BufferOf {
 public:
  BufferOf() = default;
  explicit BufferOf(int64_t size) : data_(allocate(size)), size_(size) {}

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  int64_t size() const { return size_; }

 private:
  static constexpr std::align_val_t kAlignment{64};

  struct Free {
    void operator()(T* p) const { ::operator delete[](p, kAlignment); }
  };

  static std::unique_ptr<T[], Free> allocate(int64_t size) {
    return std::unique_ptr<T[], Free>(new (kAlignment) T[static_cast<size_t>(size)]());
  }

  std::unique_ptr<T[], Free> data_;
  int64_t size_ = 0;
};

using Buffer = BufferOf<float>;

}  // namespace asam
