// One case a run, named on the command line; the exit status says whether it holds.
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <functional>
#include <map>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "core/errors.h"
#include "core/isa.h"
#include "core/philox.h"
#include "core/tensor.h"
#include "core/threads.h"

namespace {

using asam::parallel_for;
using Range = std::pair<std::int64_t, std::int64_t>;

void expect(bool condition, const std::string& what) {
  if (!condition) throw std::logic_error("does not hold: " + what);
}

template <typename Error>
void expect_throws(const std::function<void()>& call, const std::string& part) {
  try {
    call();
  } catch (const Error& error) {
    expect(std::string(error.what()).find(part) != std::string::npos,
           "'" + std::string(error.what()) + "' contains '" + part + "'");
    return;
  }
  throw std::logic_error("nothing thrown where '" + part + "' was expected");
}

std::vector<Range> ranges_of(std::int64_t n, std::int64_t grain) {
  std::mutex mutex;
  std::vector<Range> found;
  parallel_for(n, grain, [&](std::int64_t begin, std::int64_t end) {
    const std::lock_guard lock(mutex);
    found.emplace_back(begin, end);
  });
  std::sort(found.begin(), found.end());
  return found;
}

// Every range waits for all of them: returns only where they run at the same time.
void meet(int count) {
  std::atomic<int> arrived{0};
  parallel_for(count, 1, [&](std::int64_t, std::int64_t) {
    ++arrived;
    while (arrived < count) std::this_thread::yield();
  });
}

// The exit status of a forked child that runs the function; alarm() ends one that hangs.
int in_child(const std::function<void()>& function) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    try {
      function();
    } catch (...) {
      _exit(1);
    }
    _exit(0);
  }
  int status = 0;
  waitpid(child, &status, 0);
  return status;
}

void ranges() {
  asam::set_num_threads(4);
  for (const auto& [n, grain, count] : std::vector<std::tuple<std::int64_t, std::int64_t, std::size_t>>{
           {0, 1, 0}, {1, 1, 1}, {3, 1, 3}, {4, 1, 4}, {10, 1, 4}, {10, 5, 2}, {11, 5, 3}, {10, 100, 1}}) {
    const std::vector<Range> found = ranges_of(n, grain);
    expect(found.size() == count, asam::concat("n = ", n, ", grain = ", grain, ": ", count, " ranges"));
    expect(found == ranges_of(n, grain), "the same on every call");
    std::int64_t end = 0;
    for (const Range& range : found) {
      expect(range.first == end, "consecutive");
      const std::int64_t share = n / static_cast<std::int64_t>(count);
      const std::int64_t length = range.second - range.first;
      expect(length == share || length == share + 1, "equal to within one");
      end = range.second;
    }
    expect(end == n, "all covered");
  }
  expect_throws<std::invalid_argument>([] { ranges_of(-1, 1); }, "got -1");
  expect_throws<std::invalid_argument>([] { ranges_of(1, 0); }, "grain");
}

void ranges_run_at_once() {
  asam::set_num_threads(4);
  for (int i = 0; i < 100; ++i) meet(4);
}

void nested_is_serial() {
  asam::set_num_threads(3);
  parallel_for(3, 1, [](std::int64_t, std::int64_t) {
    const std::thread::id outer = std::this_thread::get_id();
    std::int64_t sum = 0;  // unguarded: serial, or the thread sanitizer tells
    for (int i = 0; i < 2; ++i) {
      parallel_for(9, 1, [&](std::int64_t begin, std::int64_t end) {
        expect(std::this_thread::get_id() == outer, "the nested loop stays on its thread");
        sum += end - begin;
      });
    }
    expect(sum == 18, "the nested loops cover all");
  });
  meet(3);
}

void exception_of_lowest_range() {
  asam::set_num_threads(4);
  for (int i = 0; i < 50; ++i) {
    std::atomic<int> ended{0};
    expect_throws<std::runtime_error>(
        [&] {
          parallel_for(4, 1, [&](std::int64_t begin, std::int64_t) {
            ++ended;
            if (begin >= 1) throw std::runtime_error("range " + std::to_string(begin));
          });
        },
        "range 1");
    expect(ended == 4, "all ranges ended");
  }
  meet(4);
}

void concurrent_callers() {
  asam::set_num_threads(3);
  std::atomic<int> wrong{0};
  std::vector<std::thread> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.emplace_back([&wrong] {
      for (int i = 0; i < 200; ++i) {
        std::vector<std::int64_t> values(50, 0);
        parallel_for(50, 1, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t k = begin; k < end; ++k) values[static_cast<std::size_t>(k)] += k;
        });
        if (std::accumulate(values.begin(), values.end(), std::int64_t{0}) != 1225) ++wrong;
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  expect(wrong == 0, "every loop covered every element once");
}

void set_num_threads() {
  for (int count : {1, 5, 2, 4}) {
    asam::set_num_threads(count);
    expect(asam::num_threads() == count, "num_threads() is what was set");
    expect(ranges_of(100, 1).size() == static_cast<std::size_t>(count), "as many ranges");
    meet(count);
  }
  expect_throws<std::invalid_argument>([] { asam::set_num_threads(0); }, "got 0");
  expect_throws<std::invalid_argument>([] { asam::set_num_threads(1025); }, "1 .. 1024");
  expect_throws<std::invalid_argument>(
      [] { parallel_for(1, 1, [](std::int64_t, std::int64_t) { asam::set_num_threads(2); }); }, "inside");
  expect(asam::num_threads() == 4, "a refused count changes nothing");
}

void fork_after_use() {
  asam::set_num_threads(3);
  meet(3);
  expect(in_child([] { meet(3); }) == 0, "the child has a pool of its own");
  expect(in_child([] {
           asam::set_num_threads(2);
           meet(2);
         }) == 0,
         "the child can set its number of threads");
  meet(3);
}

void fork_while_another_thread_loops() {
  asam::set_num_threads(2);
  std::atomic<int> started{0};
  std::atomic<bool> over{false};
  std::thread looper([&] {
    parallel_for(2, 1, [&](std::int64_t, std::int64_t) {
      ++started;
      while (!over) std::this_thread::yield();
    });
  });
  while (started < 2) std::this_thread::yield();
  const int status = in_child([] { meet(2); });
  over = true;
  looper.join();
  expect(status == 0, "the child does not wait for a loop that it does not have");
}

void isa_names() {
  using asam::Isa;
  for (Isa isa :
       {Isa::portable, Isa::neon, Isa::neondot, Isa::avx2, Isa::avxvnni, Isa::avx512f, Isa::avx512vnni}) {
    expect(asam::isa_from_name(asam::isa_name(isa)) == isa, "a name leads back to its ISA");
  }
  expect_throws<std::invalid_argument>([] { asam::isa_from_name("sse9"); },
                                       "portable, neon, neondot, avx2, avxvnni, avx512f, avx512vnni");
  const std::vector<Isa>& found = asam::supported_isas();
#if defined(__aarch64__)
  const std::vector<Isa> ladder{Isa::portable, Isa::neon, Isa::neondot};
#elif defined(__x86_64__)
  std::vector<Isa> ladder{Isa::portable, Isa::avx2, Isa::avxvnni, Isa::avx512f, Isa::avx512vnni};
  // Processors with AVX-512 may lack it.
  if (std::find(found.begin(), found.end(), Isa::avxvnni) == found.end()) ladder.erase(ladder.begin() + 2);
#else
  const std::vector<Isa> ladder{Isa::portable};
#endif
  expect(!found.empty() && found.size() <= ladder.size(), "no more than there are");
  expect(std::equal(found.begin(), found.end(), ladder.begin()), "each one includes those before it");
}

void philox_known_answers() {
  // The vectors for philox4x32-10 that Random123 publishes (kat_vectors).
  const auto equals = [](asam::PhiloxWords counter, std::uint32_t key0, std::uint32_t key1,
                         const std::vector<std::uint32_t>& expected) {
    const asam::PhiloxWords words = asam::philox4x32_10(counter, key0, key1);
    return std::vector<std::uint32_t>(words.x, words.x + 4) == expected;
  };
  expect(equals({{0, 0, 0, 0}}, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}), "zeros");
  expect(equals({{~0u, ~0u, ~0u, ~0u}}, ~0u, ~0u, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}), "ones");
  expect(equals({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0xa4093822, 0x299f31d0,
                {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}),
         "digits of pi");
}

void philox_split() {
  constexpr std::int64_t n = 37, dim = 12, row = asam::kStreams * dim;
  std::vector<float> whole(n * row), part(n * row);
  for (int threads : {1, 3}) {
    asam::set_num_threads(threads);
    asam::philox_normal(7, n, dim, 5, threads == 1 ? whole.data() : part.data());
  }
  expect(whole == part, "the number of threads does not matter");
  asam::philox_normal(7, 20, dim, 5, part.data());
  asam::philox_normal(7, n - 20, dim, 25, part.data() + 20 * row);
  expect(whole == part, "two batches make the one");
  expect_throws<std::invalid_argument>([&] { asam::philox_normal(0, 1, 6, 0, part.data()); }, "got 6");
  expect_throws<std::invalid_argument>(
      [&] { asam::philox_normal(0, 2, 4, (std::int64_t{1} << 32) - 1, part.data()); }, "start");
}

// Members add up what they left for each other in the step before; a barrier that lets one through early
// shows.
void team_waits() {
  constexpr int kSteps = 3000;
  for (int threads : {1, 2, 5}) {
    asam::set_num_threads(threads);
    std::vector<std::int64_t> left(static_cast<std::size_t>(threads), 1), next(left);
    std::atomic<int> members{0};
    asam::parallel_team(threads, [&](const asam::TeamMember& member) {
      ++members;
      const auto own = static_cast<std::size_t>(member.index);
      for (int step = 0; step < kSteps; ++step) {
        next[own] = std::accumulate(left.begin(), left.end(), std::int64_t{0}) % 1000003 + member.index;
        member.wait();
        left[own] = next[own];
        member.wait();
      }
    });
    std::vector<std::int64_t> want(static_cast<std::size_t>(threads), 1);
    for (int step = 0; step < kSteps; ++step) {
      const std::int64_t sum = std::accumulate(want.begin(), want.end(), std::int64_t{0}) % 1000003;
      for (std::size_t i = 0; i < want.size(); ++i) want[i] = sum + static_cast<std::int64_t>(i);
    }
    expect(members == threads && left == want, "every member saw every step");
  }
}

void team_sizes() {
  asam::set_num_threads(3);
  const auto size_of = [](int most) {
    std::atomic<int> size{0};
    asam::parallel_team(most, [&](const asam::TeamMember& member) { size = member.size; });
    return size.load();
  };
  expect(size_of(8) == 3 && size_of(2) == 2 && size_of(1) == 1, "as many as there are and as asked for");
  expect_throws<std::invalid_argument>([&] { size_of(0); }, "most >= 1");
  parallel_for(3, 1, [&](std::int64_t, std::int64_t) {
    const int nested = size_of(8);
    expect(nested == 1, "alone inside a loop");
  });
  // All of 0 .. n, once each, whatever the team.
  for (int n : {0, 1, 2, 7}) {
    std::vector<std::atomic<int>> seen(static_cast<std::size_t>(n));
    asam::parallel_team(3, [&](const asam::TeamMember& member) {
      member.share(n, [&](std::int64_t begin, std::int64_t end) {
        for (; begin < end; ++begin) ++seen[static_cast<std::size_t>(begin)];
      });
    });
    expect(std::all_of(seen.begin(), seen.end(), [](const auto& times) { return times == 1; }), "shares");
  }
}

void tensor() {
  std::vector<float> values(24);
  std::iota(values.begin(), values.end(), 0.0f);
  const asam::Tensor<float, 3> cube(values.data(), {2, 3, 4});
  expect(cube.size() == 24 && cube.flat().size() == 24, "size");
  expect(cube(1, 2, 3) == 23.0f && cube[1](0, 2) == 14.0f && cube[0][1](0) == 4.0f, "row-major");
  const asam::Tensor<const float, 3> readable = cube;
  readable.expect_shape("cube", {2, -1, 4});
  expect_throws<std::invalid_argument>([&] { cube.expect_shape("cube", {2, -1, 5}); },
                                       "cube: expected shape [2, *, 5], got [2, 3, 4]");
  expect_throws<std::invalid_argument>([] { asam::Tensor<float, 2>(nullptr, {2, -3}); }, "extents >= 0");
}

const std::map<std::string, void (*)()> kCases{
    {"concurrent_callers", concurrent_callers},
    {"exception_of_lowest_range", exception_of_lowest_range},
    {"fork_after_use", fork_after_use},
    {"fork_while_another_thread_loops", fork_while_another_thread_loops},
    {"isa_names", isa_names},
    {"nested_is_serial", nested_is_serial},
    {"philox_known_answers", philox_known_answers},
    {"philox_split", philox_split},
    {"ranges", ranges},
    {"ranges_run_at_once", ranges_run_at_once},
    {"set_num_threads", set_num_threads},
    {"team_sizes", team_sizes},
    {"team_waits", team_waits},
    {"tensor", tensor},
};

}  // namespace

int main(int argc, char** argv) {
  const auto found = argc == 2 ? kCases.find(argv[1]) : kCases.end();
  if (found == kCases.end()) {
    std::fprintf(stderr, "usage: core_test CASE\n");
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
