// What share of this core's arithmetic each kernel of the sampler and of the image encoder reaches, at the
// sizes that they have for SAM's ViT-B at S = 128 with K = 8 and a box; one thread, operands in the caches as
// in the sampler.
//
//   cmake -S . -B build/kernels -DASAM_PYTHON=OFF -DASAM_CUDA=OFF -DASAM_BENCHMARKS=ON
//   -DCMAKE_BUILD_TYPE=Release cmake --build build/kernels && build/kernels/kernels
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "core/isa.h"
#include "ops/arithmetic.h"
#include "ops/kernels.h"
#include "ops/upscale.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace {

using asam::AttentionShape;
using asam::Buffer;
using asam::Isa;
using asam::Kernels;
using asam::Packing;
using asam::Weight;

constexpr int64_t kGrid = 8, kCells = kGrid * kGrid, kChannels = 256, kHalf = kChannels / 2, kTokens = 12;
constexpr int64_t kHeads = 8, kHidden = 2048, kHypotheses = 32;
constexpr int64_t kTokenRows = 6 * kTokens;  // six hypotheses pass together

double seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

int rounds = 25;

// Seconds of one call, the best of several rounds.
double best_of(const std::function<void()>& call) {
  call();
  double best = 1e9;
  for (int round = 0; round < rounds; ++round) {
    const double start = seconds();
    int calls = 0;
    while (calls < 3 || seconds() - start < 2e-3) {
      call();
      ++calls;
    }
    best = std::min(best, (seconds() - start) / calls);
  }
  return best;
}

// Multiply-adds a second of a loop in registers: no kernel can do more.
#if defined(__x86_64__)
constexpr int kLoops = 20'000, kChains = 12;

// Twelve sums that no step of the loop can be merged over.
#define ASAM_CHAINS(step)                             \
  for (int i = 0; i < kLoops; ++i) {                  \
    _Pragma("GCC unroll 12") for (auto& sum : sums) { \
      sum = (step);                                   \
      asm volatile("" : "+v"(sum));                   \
    }                                                 \
  }

__attribute__((target("avx512f,avx512bf16"))) void run_bf16() {
  __m512 sums[kChains] = {};
  const __m512bh a = _mm512_cvtne2ps_pbh(_mm512_set1_ps(1e-9f), _mm512_set1_ps(1e-9f));
  ASAM_CHAINS(_mm512_dpbf16_ps(sum, a, a))
}

__attribute__((target("avx512f,avx512vnni"))) void run_int8() {
  __m512i sums[kChains] = {};
  const __m512i a = _mm512_set1_epi8(1);
  ASAM_CHAINS(_mm512_dpbusd_epi32(sum, a, a))
}

__attribute__((target("avx512f"))) void run_avx512f() {
  __m512 sums[kChains] = {};
  const __m512 a = _mm512_set1_ps(1e-9f);
  ASAM_CHAINS(_mm512_fmadd_ps(a, a, sum))
}

__attribute__((target("avx2,fma"))) void run_avx2() {
  __m256 sums[kChains] = {};
  const __m256 a = _mm256_set1_ps(1e-9f);
  ASAM_CHAINS(_mm256_fmadd_ps(a, a, sum))
}
#undef ASAM_CHAINS
#endif

double int8_ceiling() {
#if defined(__x86_64__)
  return kLoops * kChains * 64.0 / best_of(run_int8);
#else
  return 0;
#endif
}

double ceiling(Isa isa, bool bf16) {
#if defined(__x86_64__)
  if (bf16 && isa == Isa::avx512bf16) return kLoops * kChains * 32.0 / best_of(run_bf16);
  if (isa >= Isa::avx512f) return kLoops * kChains * 16.0 / best_of(run_avx512f);
  if (isa == Isa::avx2) return kLoops * kChains * 8.0 / best_of(run_avx2);
#endif
  (void)isa, (void)bf16;
  return 0;
}

// Numbers between -1 and 1, the same in every run.
template <class T>
asam::BufferOf<T> numbers(int64_t size) {
  asam::BufferOf<T> out(size);
  for (int64_t i = 0; i < size; ++i) {
    const float x = static_cast<float>((i * 2654435761u) % 2001u) * 1e-3f - 1.0f;
    if constexpr (std::is_same_v<T, float>) {
      out.data()[i] = x;
    } else {
      asam::to_bf16_ref(&x, 1, out.data() + i);
    }
  }
  return out;
}

template <class Act>
class Profile {
 public:
  static constexpr bool kNarrow = !std::is_same_v<Act, float>;

  Profile(Isa isa, const Kernels& kernels)
      : kernels_(kernels),
        ops_(kernels),
        wide_(kernels),
        peak_(ceiling(isa, kNarrow)),
        wide_peak_(ceiling(isa, false)) {}

  void sampler() {
    title("sampler, for 32 hypotheses", peak_);
    const double n = kHypotheses, passes = n / 6;
    product("combiner of the image latent", kCells, kChannels, kChannels, 3 * n);
    product("keys and values of the cells", kCells, kChannels, kChannels, 3 * n);
    product("queries of the cells", kCells, kChannels, kHalf, 2 * n);
    wide_product("cells from tokens, in float32", kCells, kHalf, kChannels, 2 * n);
    product("MLP of the tokens, in", kTokenRows, kChannels, kHidden, 2 * passes);
    product("MLP of the tokens, out", kTokenRows, kHidden, kChannels, 2 * passes);
    product("queries and keys of the tokens", kTokenRows, kChannels, kChannels, 4 * passes);
    wide_product("other products of the tokens, in float32", kTokenRows, kChannels, kChannels, 4.5 * passes);
    wide_product("hyper-networks, in float32", kHypotheses, kChannels, kChannels, 8 * 2);
    attention("tokens look at cells, in float32", kTokens, kCells, kHalf, 3 * n);
    attention("tokens look at tokens, in float32", kTokens, kTokens, kChannels, n);
    attention("cells look at tokens, in float32", kCells, kTokens, kHalf, 2 * n);
    norm("norms of the cells", kCells, 2 * n);
    upscale("upscaling, in float32", n);
    finish();
  }

  void encoder() {
    title("image encoder, an image", peak_);
    product("queries, keys, values", kCells, kWidth, 3 * kWidth, kBlocks);
    product("projection", kCells, kWidth, kWidth, kBlocks);
    product("MLP, in", kCells, kWidth, kMlp, kBlocks, true);
    product("MLP, out", kCells, kMlp, kWidth, kBlocks);
    attention_of_blocks();
    finish();
  }

  void encoder_in_int8() {
    const double peak = int8_ceiling();
    title("image encoder in int8, an image", peak, " in int8");
    int8_product("queries, keys, values", kWidth, 3 * kWidth, false, peak);
    int8_product("projection", kWidth, kWidth, false, peak);
    int8_product("MLP, in", kWidth, kMlp, true, peak);
    int8_product("MLP, out", kMlp, kWidth, false, peak);
    quantise("rows in 8 bits, for the first three", kWidth, 3 * kBlocks);
    quantise("rows in 8 bits, for the last", kMlp, kBlocks);
    attention_of_blocks();
    finish();
  }

 private:
  static constexpr int64_t kWidth = 768, kMlp = 3072, kBlocks = 12;

  void title(const char* name, double peak, const char* type = kNarrow ? " in bf16" : "") {
    std::printf("\n%s: ceiling %.0f GFLOP/s%s, float32 %.0f\n\n", name, 2e-9 * peak, type, 2e-9 * wide_peak_);
    std::printf("| kernel | calls | us a call | ms | share of the ceiling |\n|---|---:|---:|---:|---:|\n");
    ceiling_ = peak;
    total_ = 0;
    work_ = 0;
  }

  void row(const char* name, double calls, double time, double multiply_adds, double peak) {
    const double spent = calls * time;
    total_ += spent;
    work_ += calls * multiply_adds;
    std::printf("| %s | %.0f | %.2f | %.3f | ", name, calls, 1e6 * time, 1e3 * spent);
    if (multiply_adds > 0 && peak > 0) {
      std::printf("%.0f %% |\n", 100 * multiply_adds / time / peak);
    } else {
      std::printf("- |\n");
    }
  }

  void finish() {
    std::printf("| all of these | | | %.3f | %.0f %% |\n", 1e3 * total_,
                ceiling_ > 0 ? 100 * work_ / total_ / ceiling_ : 0);
  }

  void product(const char* name, int64_t rows, int64_t in, int64_t out, double calls, bool gelu = false) {
    product_as<Act>(ops_, name, rows, in, out, calls, gelu, peak_);
  }
  void wide_product(const char* name, int64_t rows, int64_t in, int64_t out, double calls) {
    product_as<float>(wide_, name, rows, in, out, calls, false, wide_peak_);
  }

  template <class T>
  void product_as(const asam::Arithmetic<T>& ops, const char* name, int64_t rows, int64_t in, int64_t out,
                  double calls, bool gelu, double peak) {
    const auto a = numbers<T>(rows * in);
    const Buffer w = numbers<float>(in * out), bias = numbers<float>(out);
    const Weight weight(in, {{w.data(), out}}, std::is_same_v<T, float> ? Packing::float32 : Packing::bf16);
    asam::BufferOf<T> c(rows * out);
    const double time = best_of([&] {
      ops.matmul(a.data(), in, rows, weight, {.bias = bias.data(), .relu = !gelu, .gelu = gelu},
                 {.act = c.data(), .act_stride = out});
    });
    row(name, calls, time, static_cast<double>(rows * in * out), peak);
  }

  void int8_product(const char* name, int64_t in, int64_t out, bool gelu, double peak) {
    const Buffer x = numbers<float>(kCells * in), w = numbers<float>(in * out), bias = numbers<float>(out);
    const asam::PackedInt8Matrix weight(in, {{w.data(), out}});
    Rows8 rows(kernels_, x, in);
    Buffer c(kCells * out);
    const double time = best_of([&] {
      kernels_.matmul_int8(rows.view(), kCells, weight, {.bias = bias.data(), .gelu = gelu}, c.data(), out);
    });
    row(name, kBlocks, time, static_cast<double>(kCells * in * out), peak);
  }

  void quantise(const char* name, int64_t width, double calls) {
    const Buffer x = numbers<float>(kCells * width);
    Rows8 rows(kernels_, x, width);
    row(name, calls, best_of([&] { rows.fill(kernels_, x); }), 0, peak_);
  }

  // kCells rows in 8 bits.
  struct Rows8 {
    Rows8(const Kernels& kernels, const Buffer& x, int64_t count)
        : width(count), values(kCells * count), scale(kCells), zero(kCells) {
      fill(kernels, x);
    }
    void fill(const Kernels& kernels, const Buffer& x) {
      for (int64_t r = 0; r < kCells; ++r) {
        kernels.quantise_row(x.data() + r * width, width, values.data() + r * width, scale.data() + r,
                             zero.data() + r);
      }
    }
    asam::QuantisedRows view() const { return {values.data(), width, scale.data(), zero.data()}; }

    int64_t width;
    asam::BufferOf<uint8_t> values;
    Buffer scale;
    asam::BufferOf<int32_t> zero;
  };

  void attention_of_blocks() {
    relative("attention in padded windows, in float32", 14, 8 * 12);
    relative("attention over the grid, in float32", 8, 4 * 12);
  }

  void attention(const char* name, int64_t queries, int64_t keys, int64_t width, double calls) {
    const AttentionShape shape{queries, keys, kHeads, width / kHeads, width, width, width, width};
    const Buffer q = numbers<float>(queries * width), k = numbers<float>(keys * width),
                 v = numbers<float>(keys * width);
    Buffer out(queries * width), scratch(asam::attention_scratch(shape));
    const double time =
        best_of([&] { kernels_.attend(shape, q.data(), k.data(), v.data(), out.data(), scratch.data()); });
    row(name, calls, time, static_cast<double>(2 * queries * keys * width), wide_peak_);
  }

  void norm(const char* name, int64_t rows, double calls) {
    Buffer x = numbers<float>(rows * kChannels), y(rows * kChannels);
    const Buffer weight = numbers<float>(kChannels), bias = numbers<float>(kChannels);
    asam::BufferOf<Act> narrow(rows * kChannels);
    const double time = best_of([&] {
      ops_.norm(x.data(), rows, kChannels, weight.data(), bias.data(), 1e-5f,
                {.wide = y.data(), .act = kNarrow ? narrow.data() : nullptr});
    });
    row(name, calls, time, 0, peak_);
  }

  void upscale(const char* name, double calls) {
    const Buffer first = numbers<float>(kChannels * kChannels), second = numbers<float>(kHalf * kHalf / 2);
    asam::UpscaleWeights weights{Weight(kChannels, {{first.data(), kChannels}}, Packing::float32),
                                 Weight(kChannels / 4, {{second.data(), kHalf}}, Packing::float32),
                                 numbers<float>(kChannels),
                                 numbers<float>(kHalf),
                                 numbers<float>(kChannels / 4),
                                 numbers<float>(kChannels / 4)};
    const Buffer src = numbers<float>(kCells * kChannels), hyper = numbers<float>(kChannels / 8);
    Buffer logits(16 * kCells), scratch(asam::upscale_scratch(kChannels));
    const double time = best_of([&] {
      asam::upscale_cells(wide_, weights, kGrid, src.data(), 0, kCells, hyper.data(), 1, logits.data(),
                          scratch.data());
    });
    const double adds = kCells * (kChannels * kChannels + 4.0 * kChannels / 4 * kHalf + 16.0 * kChannels / 8);
    row(name, calls, time, adds, wide_peak_);
  }

  void relative(const char* name, int64_t window, double calls) {
    constexpr int64_t kDim = 64;
    const Buffer table = numbers<float>((2 * window - 1) * kDim), padded = numbers<float>(kDim);
    const Buffer q = numbers<float>(kCells * kDim), k = numbers<float>(kCells * kDim),
                 v = numbers<float>(kCells * kDim);
    const asam::RelativeAttentionShape shape{kDim, window, kGrid, kGrid, 0, kCells, kDim, kDim, kDim};
    Buffer out(kCells * kDim), scratch(asam::relative_attention_scratch(shape));
    const double time = best_of([&] {
      kernels_.relative_attend(shape, {table.data(), table.data(), padded.data(), padded.data()}, q.data(),
                               k.data(), v.data(), out.data(), scratch.data());
    });
    row(name, calls, time, static_cast<double>(2 * kCells * kCells * kDim + 2 * kCells * window * kDim),
        wide_peak_);
  }

  const Kernels& kernels_;
  asam::Arithmetic<Act> ops_;
  asam::Arithmetic<float> wide_;
  double peak_, wide_peak_;
  double ceiling_ = 0, total_ = 0, work_ = 0;  // of the table that is being printed
};

template <class Act>
void profile(Isa isa, const Kernels& kernels) {
  Profile<Act> profile(isa, kernels);
  profile.sampler();
  profile.encoder();
  if constexpr (!std::is_same_v<Act, float>) profile.encoder_in_int8();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--once") rounds = 1;  // to see that it runs
  const Isa isa = asam::active_isa();
  const Kernels kernels = Kernels::of(isa);
  std::printf("instruction set %s, one thread\n", asam::isa_name(isa));
  if (isa == Isa::avx512bf16) profile<asam::Bf16>(isa, kernels);
  profile<float>(isa, kernels);
}
