// A thread pool of our own: static chunks, so that who computes what never depends on timing.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <type_traits>

namespace asam {

// Threads that parallel_for uses, the caller's included. At first ASAM_NUM_THREADS, else the processors this
// process may run on; from then on as many as the system had where a loop could not start them all.
// std::invalid_argument where ASAM_NUM_THREADS is not a whole number in 1 .. 1024.
int num_threads();

// 1 .. 1024, else std::invalid_argument. Waits for a loop that runs now.
void set_num_threads(int count);

namespace detail {

using ChunkFunction = void (*)(void* body, std::int64_t begin, std::int64_t end);
void parallel_for(std::int64_t n, std::int64_t grain, ChunkFunction function, void* body);

}  // namespace detail

// Calls body(begin, end) on consecutive ranges that cover 0 .. n, and returns when all are done.
//
// There are min(num_threads(), ceil(n / grain)) ranges, equal to within one element; range i is the same on
// every call. Inside another parallel_for, and while another thread's loop holds the pool, the ranges run one
// after the other on the caller. An exception reaches the caller once all ranges have ended; of several, that
// of the lowest range. A forked child starts with a pool of its own.
template <typename Body>
void parallel_for(std::int64_t n, std::int64_t grain, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::parallel_for(
      n, grain,
      [](void* opaque, std::int64_t begin, std::int64_t end) { (*static_cast<Plain*>(opaque))(begin, end); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

// Where the threads of a team wait for each other: wait() returns once every member has called it as often.
class Barrier {
 public:
  explicit Barrier(int size) : size_(size) {}

  // Spins for some microseconds, then sleeps.
  void wait() noexcept;

 private:
  const int size_;
  std::atomic<int> arrived_{0};
  std::atomic<std::uint32_t> round_{0};
};

// One thread's place in the team that it belongs to.
struct TeamMember {
  int index;  // 0 .. size - 1
  int size;
  Barrier& barrier;

  void wait() const noexcept { barrier.wait(); }

  // Calls body(begin, end) on this member's range of 0 .. n, one of `size` nearly equal ones; not if it is
  // empty.
  template <typename Body>
  void share(std::int64_t n, Body&& body) const {
    const std::int64_t begin = n * index / size, end = n * (index + 1) / size;
    if (begin < end) body(begin, end);
  }
};

namespace detail {

using TeamFunction = void (*)(void* body, const TeamMember& member);
void parallel_team(int most, TeamFunction function, void* body);

}  // namespace detail

// Calls body(member) on several threads at once, which may wait for each other, and returns when all are
// done: for work in many short steps, which parallel_for would wake the threads for one by one.
//
// The team has min(num_threads(), most) members, or the caller alone where parallel_for would not use the
// pool. An exception out of the body ends the process: the others would wait for ever.
template <typename Body>
void parallel_team(int most, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::parallel_team(
      most, [](void* opaque, const TeamMember& member) noexcept { (*static_cast<Plain*>(opaque))(member); },
      const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

}  // namespace asam
