// What the programs that test native code without Python share. A program has one file, so that this one may
// replace its operator new.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/named_tensors.h"

namespace harness {

inline std::atomic<std::int64_t> allocations{0}, allocated{0};  // calls, bytes

inline void* counted(std::size_t size, std::size_t alignment) {
  ++allocations;
  allocated += static_cast<std::int64_t>(size);
  void* memory = std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}

}  // namespace harness

// The forms without exceptions call these. Array forms too, but not under a sanitizer, which has its own.
void* operator new(std::size_t size) {
  return harness::counted(size, alignof(std::max_align_t));
}
void* operator new(std::size_t size, std::align_val_t alignment) {
  return harness::counted(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size) {
  return harness::counted(size, alignof(std::max_align_t));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
  return harness::counted(size, static_cast<std::size_t>(alignment));
}
void operator delete[](void* memory) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::align_val_t) noexcept {
  std::free(memory);
}
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept {
  std::free(memory);
}

namespace harness {

inline void expect(bool condition, const std::string& what) {
  if (!condition) throw std::logic_error("does not hold: " + what);
}

// Numbers between least and least + 2, the same in every run.
inline std::vector<float> numbers(std::int64_t size, std::uint32_t seed, float least = -1.0f) {
  std::vector<float> out(static_cast<std::size_t>(size));
  for (float& x : out) {
    seed = seed * 1664525u + 1013904223u;
    x = static_cast<float>(seed >> 8) * 0x1p-23f + least;
  }
  return out;
}

// Small numbers that are the same in every run.
class Weights {
 public:
  void add(const std::string& name, const std::vector<std::int64_t>& shape) {
    std::int64_t size = 1;
    for (std::int64_t extent : shape) size *= extent;
    std::vector<float>& values = values_[name];
    for (std::int64_t i = 0; i < size; ++i) {
      state_ = state_ * 1664525u + 1013904223u;
      values.push_back(static_cast<float>(state_ >> 8) * 0x1p-24f - 0.5f);
    }
    tensors_[name] = {values.data(), shape};
  }

  void linear(const std::string& name, std::int64_t in, std::int64_t out) {
    add(name + ".weight", {in, out});
    add(name + ".bias", {out});
  }

  void attention(const std::string& name, std::int64_t c, std::int64_t inner) {
    for (const char* part : {".q", ".k", ".v"}) linear(name + part, c, inner);
    linear(name + ".out", inner, c);
  }

  void norm(const std::string& name, std::int64_t n) {
    add(name + ".weight", {n});
    add(name + ".bias", {n});
  }

  const asam::TensorMap& tensors() const { return tensors_; }

 private:
  std::uint32_t state_ = 1;
  std::map<std::string, std::vector<float>> values_;
  asam::TensorMap tensors_;
};

struct Count {
  std::int64_t calls, bytes;
};

inline Count count_of(const std::function<void()>& call) {
  const Count before{allocations, allocated};
  call();
  return {allocations - before.calls, allocated - before.bytes};
}

// Runs the case that the command line names; the exit status says whether it holds.
inline int run(int argc, char** argv, const std::map<std::string, void (*)()>& cases) {
  const auto found = argc == 2 ? cases.find(argv[1]) : cases.end();
  if (found == cases.end()) {
    std::fprintf(stderr, "usage: %s CASE\n", argv[0]);
    return 2;
  }
  try {
    found->second();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", argv[1], error.what());
    return 1;
  }
  return 0;
}

}  // namespace harness
