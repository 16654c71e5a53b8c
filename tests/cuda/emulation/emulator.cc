#include "emulator.h"

#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <deque>
#include <iterator>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace asam::cuda {

// A block's dynamic shared memory, and what lies behind it.
constexpr std::size_t kMostShared = 227 * 1024, kBehindShared = 4096;
alignas(16) unsigned char asam_shared[kMostShared + kBehindShared];

}  // namespace asam::cuda

namespace emulator {
namespace {

using asam::cuda::asam_shared;
using asam::cuda::kBehindShared;
using asam::cuda::kMostShared;

constexpr int kNaN = 0xff;  // as every byte of a float, bfloat16 or half

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "CUDA emulation: %s (block %u %u %u, thread %u)\n", what.c_str(), blockIdx.x,
               blockIdx.y, blockIdx.z, threadIdx.x);
  std::abort();
}

std::size_t page() {
  static const auto size = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  return size;
}

void* pages(std::size_t bytes) {
  void* out = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (out == MAP_FAILED) fail("out of memory");
  return out;
}

// ---- the threads of a block ----

enum class State { ready, at_warp_barrier, at_block_barrier, done };

struct Copy {
  void* to;
  const void* from;
  int group;
};

struct Fiber {
  ucontext_t context;  // where it begins
  jmp_buf stopped;     // where it goes on; unlike swapcontext, without a system call
  bool begun = false;
  State state = State::done;
  std::vector<Copy> copies;
  int groups = 0;
  unsigned exchanges = 0;
};

constexpr std::size_t kStack = 128 * 1024;
constexpr int kWarp = 32, kMostThreads = 1024;

jmp_buf scheduler;
std::deque<Fiber> fibers;
Fiber* running = nullptr;
const std::function<void()>* body = nullptr;
// Twice, so that a lane may begin the next exchange while others still read the last one.
Shared exchanged[kMostThreads / kWarp][2][kWarp];

void stop(State state) {
  running->state = state;
  if (_setjmp(running->stopped) == 0) _longjmp(scheduler, 1);
}

void run_fiber() {
  for (;;) {
    (*body)();
    if (!running->copies.empty()) fail("a thread ended with copies that it did not wait for");
    stop(State::done);
  }
}

void add_fiber() {
  Fiber& fiber = fibers.emplace_back();
  auto* stack = static_cast<unsigned char*>(pages(kStack));
  mprotect(stack, page(), PROT_NONE);  // a stack grows down to it
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = stack;
  fiber.context.uc_stack.ss_size = kStack;
  fiber.context.uc_link = nullptr;
  makecontext(&fiber.context, run_fiber, 0);
}

void resume(int thread) {
  running = &fibers[static_cast<std::size_t>(thread)];
  threadIdx = {static_cast<unsigned>(thread), 0, 0};
  if (_setjmp(scheduler) != 0) return;
  if (running->begun) _longjmp(running->stopped, 1);
  running->begun = true;
  setcontext(&running->context);
}

std::vector<int> order_of(int count) {
  std::vector<int> order(static_cast<std::size_t>(count));
  std::iota(order.begin(), order.end(), 0);
  const char* wanted = std::getenv("ASAM_EMULATION_ORDER");
  static std::mt19937 random(1);
  if (wanted != nullptr && std::string(wanted) == "reverse") std::reverse(order.begin(), order.end());
  if (wanted != nullptr && std::string(wanted) == "shuffled")
    std::shuffle(order.begin(), order.end(), random);
  return order;
}

// Runs the lanes of a warp until each is done or at a barrier of the block.
void run_warp(int first, int lanes, const std::vector<int>& order) {
  for (;;) {
    int waiting = 0, ended = 0;
    for (int i : order) {
      if (i >= lanes) continue;
      Fiber& fiber = fibers[static_cast<std::size_t>(first + i)];
      if (fiber.state == State::ready) resume(first + i);
      waiting += fiber.state == State::at_warp_barrier;
      ended += fiber.state == State::done;
    }
    if (waiting == 0) return;
    if (waiting != kWarp) fail("not all lanes of a warp came to its barrier");
    for (int i = 0; i < lanes; ++i) fibers[static_cast<std::size_t>(first + i)].state = State::ready;
  }
}

void run_block(int threads, std::size_t shared) {
  std::memset(asam_shared, kNaN, shared + kBehindShared);
  while (static_cast<int>(fibers.size()) < threads) add_fiber();
  for (int i = 0; i < threads; ++i) fibers[static_cast<std::size_t>(i)].state = State::ready;
  const int warps = (threads + kWarp - 1) / kWarp;
  for (;;) {
    const std::vector<int> lanes = order_of(kWarp);
    for (int warp : order_of(warps)) run_warp(warp * kWarp, std::min(kWarp, threads - warp * kWarp), lanes);
    int waiting = 0;
    for (int i = 0; i < threads; ++i) {
      Fiber& fiber = fibers[static_cast<std::size_t>(i)];
      if (fiber.state != State::at_block_barrier) continue;
      ++waiting;
      fiber.state = State::ready;
    }
    if (waiting == 0) break;
  }
  for (std::size_t i = 0; i < kBehindShared; ++i) {
    if (asam_shared[shared + i] != kNaN) fail("a write beyond the block's shared memory");
  }
}

void run_grid(const cudaLaunchConfig_t& config, const std::function<void()>& thread) {
  gridDim = config.gridDim;
  blockDim = config.blockDim;
  body = &thread;
  const auto count = static_cast<int>(gridDim.x * gridDim.y * gridDim.z);
  for (int block : order_of(count)) {
    const auto index = static_cast<unsigned>(block);
    blockIdx = {index % gridDim.x, index / gridDim.x % gridDim.y, index / gridDim.x / gridDim.y};
    run_block(static_cast<int>(blockDim.x), config.dynamicSmemBytes);
  }
}

// ---- streams, graphs, memory: all under one lock ----

using Work = std::function<void()>;

}  // namespace
}  // namespace emulator

struct CUgraph_st {
  std::vector<emulator::Work> work;
};

struct CUstream_st {
  std::deque<emulator::Work> queue;
  std::unique_ptr<CUgraph_st> captured;
};

namespace emulator {
namespace {

std::recursive_mutex lock;
std::list<CUstream_st*> streams;
std::map<const void*, std::size_t> allowed_shared;
std::set<const void*> loaded;  // kernels that were asked for before a launch
thread_local int device = 0;
thread_local bool capturing = false;  // what a capture forbids, it forbids its thread
thread_local cudaError_t last_error = cudaSuccess;

struct Allocation {
  void* base;
  std::size_t pages, bytes;
};
std::map<void*, Allocation> allocations;

cudaError_t result(cudaError_t error) {
  if (error != cudaSuccess) last_error = error;
  return error;
}

bool on_device(const void* at) {
  const auto after = allocations.upper_bound(const_cast<void*>(at));
  if (after == allocations.begin()) return false;
  const auto& [start, allocation] = *std::prev(after);
  return static_cast<const unsigned char*>(at) < static_cast<unsigned char*>(start) + allocation.bytes;
}

// No number that is computed has all bits set.
void check_written(const void* from, std::size_t bytes) {
  const auto* at = static_cast<const unsigned char*>(from);
  constexpr std::uint32_t kUnwritten = 0xffffffff;
  for (std::size_t i = 0; i + sizeof(kUnwritten) <= bytes; i += sizeof(kUnwritten)) {
    if (std::memcmp(at + i, &kUnwritten, sizeof(kUnwritten)) == 0) fail("a copy of memory that nobody wrote");
  }
}

cudaError_t enqueue(cudaStream_t stream, Work work) {
  const std::lock_guard guard(lock);
  if (stream == nullptr) fail("work on the default stream");
  if (stream->captured) {
    stream->captured->work.push_back(std::move(work));
  } else {
    stream->queue.push_back(std::move(work));
  }
  return cudaSuccess;
}

// One piece of every stream in turn.
void run_until_empty(const CUstream_st* wanted) {
  const auto pending = [&] {
    if (wanted != nullptr) return !wanted->queue.empty();
    return std::any_of(streams.begin(), streams.end(),
                       [](CUstream_st* each) { return !each->queue.empty(); });
  };
  while (pending()) {
    for (CUstream_st* stream : streams) {
      if (stream->queue.empty()) continue;
      const Work work = std::move(stream->queue.front());
      stream->queue.pop_front();
      work();
    }
  }
}

}  // namespace

void block_barrier() {
  stop(State::at_block_barrier);
}

void warp_barrier() {
  stop(State::at_warp_barrier);
}

int lane() {
  return static_cast<int>(threadIdx.x % kWarp);
}

const Shared* exchange(const void* mine, std::size_t size) {
  Shared* slots = exchanged[threadIdx.x / kWarp][running->exchanges++ % 2];
  std::memcpy(slots[lane()].bytes, mine, size);
  warp_barrier();
  return slots;
}

void copy_later(void* to, const void* from) {
  if (reinterpret_cast<std::uintptr_t>(to) % 16 != 0 || reinterpret_cast<std::uintptr_t>(from) % 16 != 0) {
    fail("an asynchronous copy that is not aligned");
  }
  std::memset(to, kNaN, 16);  // nobody may count on the old or the new bytes before the wait
  running->copies.push_back({to, from, running->groups});
}

void close_group() {
  ++running->groups;
}

void wait_for_groups(int pending) {
  std::vector<Copy> later;
  for (const Copy& copy : running->copies) {
    if (copy.group >= running->groups - pending) {
      later.push_back(copy);
    } else {
      std::memcpy(copy.to, copy.from, 16);
    }
  }
  running->copies = std::move(later);
}

cudaError_t submit(const cudaLaunchConfig_t& config, const void* kernel, std::function<void()> thread) {
  constexpr unsigned kMostBlocks = 65535;
  constexpr std::size_t kFreeShared = 48 * 1024;
  const std::lock_guard guard(lock);
  if (capturing && !loaded.contains(kernel)) fail("a kernel that was not loaded before the capture");
  const std::size_t most = std::max(kFreeShared, allowed_shared[kernel]);
  const bool fits = config.blockDim.x >= 1 && config.blockDim.x <= kMostThreads && config.gridDim.x >= 1 &&
                    config.gridDim.y >= 1 && config.gridDim.y <= kMostBlocks && config.gridDim.z >= 1 &&
                    config.gridDim.z <= kMostBlocks && config.dynamicSmemBytes <= most;
  if (!fits) return result(cudaErrorInvalidValue);
  return enqueue(config.stream, [config, thread = std::move(thread)] { run_grid(config, thread); });
}

}  // namespace emulator

using emulator::lock;
using emulator::result;

const char* cudaGetErrorName(cudaError_t) {
  return "emulated";
}
const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "no error";
    case cudaErrorInvalidValue:
      return "invalid argument";
    case cudaErrorMemoryAllocation:
      return "out of memory";
    case cudaErrorInvalidResourceHandle:
      return "invalid resource handle";
    case cudaErrorStreamCaptureUnsupported:
      return "operation not permitted when stream is capturing";
    default:
      return "error";
  }
}
cudaError_t cudaGetLastError() {
  return std::exchange(emulator::last_error, cudaSuccess);
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  return cudaRuntimeGetVersion(version);
}
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int) {
  *properties = {"emulation on the CPU", 9, 0, 1, std::size_t{1} << 30};
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = emulator::device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) {
  if (device != 0 && device != 1) return result(cudaErrorInvalidValue);
  emulator::device = device;
  return cudaSuccess;
}

// For tests: a second device, which is not announced, made the calling thread's current one.
extern "C" __attribute__((visibility("default"))) int emulator_set_device(int device) {
  return cudaSetDevice(device);
}
extern "C" __attribute__((visibility("default"))) int emulator_device() {
  return emulator::device;
}

cudaError_t cudaMalloc(void** out, std::size_t bytes) {
  constexpr std::size_t kAlignment = 256;  // as cudaMalloc promises
  const std::lock_guard guard(lock);
  if (emulator::capturing) return result(cudaErrorStreamCaptureUnsupported);
  const std::size_t page = emulator::page(), room = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  if (room > std::size_t{1} << 30) return result(cudaErrorMemoryAllocation);
  const std::size_t pages = (room + page - 1) / page * page;
  auto* base = static_cast<unsigned char*>(emulator::pages(pages + page));
  mprotect(base + pages, page, PROT_NONE);
  std::memset(base, emulator::kNaN, pages);
  *out = base + pages - room;
  emulator::allocations[*out] = {base, pages + page, bytes};
  return cudaSuccess;
}

cudaError_t cudaFree(void* memory) {
  const std::lock_guard guard(lock);
  if (memory == nullptr) return cudaSuccess;
  if (emulator::capturing) return result(cudaErrorStreamCaptureUnsupported);
  emulator::run_until_empty(nullptr);  // it waits for the whole device
  const auto found = emulator::allocations.find(memory);
  if (found == emulator::allocations.end()) return result(cudaErrorInvalidValue);
  const auto [base, pages, bytes] = found->second;
  const auto* end = static_cast<unsigned char*>(base) + pages - emulator::page();
  for (const auto* at = static_cast<unsigned char*>(memory) + bytes; at < end; ++at) {
    if (*at != emulator::kNaN) emulator::fail("a write beyond an allocation");
  }
  munmap(base, pages);
  emulator::allocations.erase(found);
  return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned) {
  const std::lock_guard guard(lock);
  *out = new CUstream_st;
  emulator::streams.push_back(*out);
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  const std::lock_guard guard(lock);
  if (stream == nullptr) return cudaSuccess;
  emulator::run_until_empty(stream);
  emulator::streams.remove(stream);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  const std::lock_guard guard(lock);
  if (reinterpret_cast<std::uintptr_t>(stream) <= 2)
    return cudaSuccess;  // default streams, which hold no work here
  if (std::find(emulator::streams.begin(), emulator::streams.end(), stream) == emulator::streams.end()) {
    return result(cudaErrorInvalidResourceHandle);
  }
  if (stream->captured) return result(cudaErrorStreamCaptureUnsupported);
  emulator::run_until_empty(stream);
  return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind,
                            cudaStream_t stream) {
  return emulator::enqueue(stream, [=] {
    if (emulator::on_device(to) && emulator::on_device(from)) emulator::check_written(from, bytes);
    std::memcpy(to, from, bytes);
  });
}
cudaError_t cudaMemsetAsync(void* to, int value, std::size_t bytes, cudaStream_t stream) {
  return emulator::enqueue(stream, [=] { std::memset(to, value, bytes); });
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
  const std::lock_guard guard(lock);
  stream->captured = std::make_unique<CUgraph_st>();
  emulator::capturing = true;
  return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* out) {
  const std::lock_guard guard(lock);
  *out = stream->captured.release();
  emulator::capturing = false;
  return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long) {
  *out = new CUgraph_st(*graph);
  return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
  for (const emulator::Work& work : graph->work) emulator::enqueue(stream, work);
  return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  delete graph;
  return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  delete graph;
  return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  const std::lock_guard guard(lock);
  if (emulator::capturing) return result(cudaErrorStreamCaptureUnsupported);
  *attributes = {};
  emulator::loaded.insert(kernel);
  return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute, int value) {
  const std::lock_guard guard(lock);
  if (value < 0 || static_cast<std::size_t>(value) > asam::cuda::kMostShared) {
    return result(cudaErrorInvalidValue);
  }
  emulator::allowed_shared[kernel] = static_cast<std::size_t>(value);
  return cudaSuccess;
}
