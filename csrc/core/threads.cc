#include "core/threads.h"

#include <pthread.h>
#if defined(__linux__)
#include <sched.h>
#endif

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "core/errors.h"

namespace asam {
namespace {

constexpr int kMaxThreads = 1024;

// Inside a loop that spins: leaves the core to its other thread for a moment.
void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Set on threads that are inside a range: a nested loop runs in place.
thread_local bool inside_range = false;

class InsideRange {
 public:
  InsideRange() { inside_range = true; }
  ~InsideRange() { inside_range = outer_; }
  InsideRange(const InsideRange&) = delete;
  InsideRange& operator=(const InsideRange&) = delete;

 private:
  const bool outer_ = inside_range;
};

int check_count(long count, const char* name) {
  require(count >= 1 && count <= kMaxThreads, name, ": expected a number of threads in 1 .. ", kMaxThreads,
          ", got ", count);
  return static_cast<int>(count);
}

int available_processors() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return std::clamp(CPU_COUNT(&set), 1, kMaxThreads);
#endif
  return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads);
}

int default_threads() {
  const char* text = std::getenv("ASAM_NUM_THREADS");
  if (text == nullptr || *text == '\0') return available_processors();
  char* end = nullptr;
  errno = 0;
  const long count = std::strtol(text, &end, 10);
  require(*end == '\0' && errno == 0, "ASAM_NUM_THREADS: expected a whole number in 1 .. ", kMaxThreads,
          ", got '", text, "'");
  return check_count(count, "ASAM_NUM_THREADS");
}

struct Job {
  std::int64_t n;
  std::int64_t ranges;
  detail::ChunkFunction function;
  void* body;
  std::vector<std::exception_ptr> errors;  // one a range on the pool, so that no lock guards them

  void run(std::int64_t range) { run(range, errors[static_cast<std::size_t>(range)]); }

  // Keeps the first error.
  void run(std::int64_t range, std::exception_ptr& error) {
    const std::int64_t share = n / ranges, longer = n % ranges;
    const std::int64_t begin = range * share + std::min(range, longer);
    const std::int64_t end = begin + share + (range < longer ? 1 : 0);
    const InsideRange guard;
    try {
      function(body, begin, end);
    } catch (...) {
      if (!error) error = std::current_exception();
    }
  }
};

// Worker i runs range i of each job; the caller runs range 0.
class Pool {
 public:
  // Of fewer threads where the system has no more.
  explicit Pool(int threads) {
    workers_.reserve(static_cast<std::size_t>(threads - 1));
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { work(i); });
    } catch (...) {  // the system has no more: of the work, only the time depends on how many there are
    }
  }
  ~Pool() { stop(); }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  void run(Job& job) {
    {
      const std::lock_guard lock(mutex_);
      job_ = &job;
      pending_ = job.ranges - 1;
      ++generation_;
    }
    wake_.notify_all();
    job.run(0);
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return pending_ == 0; });
    job_ = nullptr;
  }

 private:
  void work(std::int64_t range) {
    std::uint64_t seen = 0;
    std::unique_lock lock(mutex_);
    while (true) {
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      // A worker without a range may come late, when the job is gone.
      if (job_ == nullptr || range >= job_->ranges) continue;
      Job& job = *job_;
      lock.unlock();
      job.run(range);
      lock.lock();
      if (--pending_ == 0) done_.notify_one();
    }
  }

  void stop() {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }

  std::mutex mutex_;
  std::condition_variable wake_, done_;
  Job* job_ = nullptr;
  std::int64_t pending_ = 0;
  std::uint64_t generation_ = 0;
  bool stopping_ = false;
  std::vector<std::thread> workers_;
};

// Never destroyed: worker threads may outlive static destructors, and a forked child must not touch the
// parent's locks and threads, which do not exist there.
struct State {
  std::mutex mutex;  // held by the one loop that uses the pool
  std::unique_ptr<Pool> pool;
};

std::atomic<State*> current_state{nullptr};
std::atomic<int> thread_count{0};  // 0: not decided yet

State& state() {
  static const bool once = [] {
    current_state = std::make_unique<State>().release();
    pthread_atfork(nullptr, nullptr, [] {
      current_state = std::make_unique<State>().release();
      inside_range = false;
    });
    return true;
  }();
  static_cast<void>(once);
  return *current_state;
}

}  // namespace

int num_threads() {
  int count = thread_count.load();
  if (count == 0) {
    const int wanted = default_threads();
    // Where another thread decided meanwhile, its answer stands.
    count = thread_count.compare_exchange_strong(count, wanted) ? wanted : count;
  }
  return count;
}

void set_num_threads(int count) {
  require(!inside_range, "set_num_threads: called from inside a parallel loop");
  check_count(count, "set_num_threads");
  State& own = state();
  const std::lock_guard lock(own.mutex);
  thread_count = count;
  if (own.pool && own.pool->threads() != count) own.pool.reset();
}

void Barrier::wait() noexcept {
  constexpr int kSpins = 2000;
  const std::uint32_t round = round_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived_.store(0, std::memory_order_relaxed);
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    return;
  }
  for (int spin = 0; spin < kSpins; ++spin) {
    if (round_.load(std::memory_order_acquire) != round) return;
    relax();
  }
  while (round_.load(std::memory_order_acquire) == round) round_.wait(round, std::memory_order_acquire);
}

namespace detail {
namespace {

// False where the pool is not to be had: inside another loop, or while another thread's loop holds it.
bool run_on_pool(Job& job) {
  if (job.ranges < 2 || inside_range) return false;
  State& own = state();
  const std::unique_lock lock(own.mutex, std::try_to_lock);
  if (!lock.owns_lock()) return false;
  if (!own.pool || own.pool->threads() < job.ranges) {
    own.pool.reset();  // before its threads are started anew
    own.pool = std::make_unique<Pool>(num_threads());
    thread_count = own.pool->threads();
  }
  if (own.pool->threads() < job.ranges) return false;
  own.pool->run(job);
  return true;
}

}  // namespace

void parallel_for(std::int64_t n, std::int64_t grain, ChunkFunction function, void* body) {
  require(n >= 0, "parallel_for: expected n >= 0, got ", n);
  require(grain >= 1, "parallel_for: expected grain >= 1, got ", grain);
  if (n == 0) return;
  const std::int64_t ranges = std::min<std::int64_t>(num_threads(), (n - 1) / grain + 1);
  Job job{n, ranges, function, body, {}};
  // A nested loop allocates nothing.
  if (ranges > 1 && !inside_range) job.errors.resize(static_cast<std::size_t>(ranges));
  std::exception_ptr first;
  if (!run_on_pool(job)) {
    for (std::int64_t range = 0; range < ranges; ++range) job.run(range, first);
  }
  for (const std::exception_ptr& error : job.errors) {
    if (error && !first) first = error;
  }
  if (first) std::rethrow_exception(first);
}

void parallel_team(int most, TeamFunction function, void* body) {
  require(most >= 1, "parallel_team: expected most >= 1, got ", most);
  const int size = std::min(num_threads(), most);
  Barrier barrier(size);
  struct Call {
    TeamFunction function;
    void* body;
    Barrier& barrier;
    int size;
  } call{function, body, barrier, size};
  Job job{size, size,
          [](void* opaque, std::int64_t begin, std::int64_t) {
            const Call& own = *static_cast<Call*>(opaque);
            own.function(own.body, {static_cast<int>(begin), own.size, own.barrier});
          },
          &call, std::vector<std::exception_ptr>(static_cast<std::size_t>(size))};
  if (run_on_pool(job)) return;
  Barrier alone(1);
  function(body, {0, 1, alone});
}

}  // namespace detail
}  // namespace asam
