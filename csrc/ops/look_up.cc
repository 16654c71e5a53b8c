#include "ops/look_up.h"

#include <atomic>

#include "core/errors.h"
#include "core/threads.h"

namespace asam {
namespace {

constexpr int64_t kGrain = int64_t{1} << 16;  // less is done before another thread is awake

}  // namespace

void look_up(const int32_t* counts, int64_t n, const float* table, int64_t size, float* y) {
  require(size > 0 || n == 0, "table: expected at least one number, got none");
  std::atomic<bool> outside = false;
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    const auto most = static_cast<uint64_t>(size) - 1;
    bool beyond = false;
    for (int64_t i = begin; i < end; ++i) {
      const auto count = static_cast<uint64_t>(int64_t{counts[i]});  // huge where it is negative
      beyond |= count > most;
      y[i] = table[count > most ? 0 : count];
    }
    if (beyond) outside = true;
  });
  require(!outside, "counts: expected 0 to ", size - 1, ", one of each number in the table");
}

}  // namespace asam
