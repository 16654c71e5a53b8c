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
#include "core/precision.h"
#include "ops/arithmetic.h"
#include "ops/kernels.h"
#include "ops/upscale.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
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
constexpr int kLoops = 20'000;
#if defined(__x86_64__)
constexpr int kChains = 12;
#define ASAM_VECTOR "+v"
#elif defined(__aarch64__)
constexpr int kChains = 16;  // four units, four cycles
#define ASAM_VECTOR "+w"
#endif

// Sums that no step of the loop can be merged over.
#define ASAM_CHAINS(step)                             \
  for (int i = 0; i < kLoops; ++i) {                  \
    _Pragma("GCC unroll 16") for (auto& sum : sums) { \
      sum = (step);                                   \
      asm volatile("" : ASAM_VECTOR(sum));            \
    }                                                 \
  }

#if defined(__x86_64__)

__attribute__((target("avx512f,avx512vnni"))) void run_int16() {
  __m512i sums[kChains] = {};
  const __m512i a = _mm512_set1_epi16(1);
  ASAM_CHAINS(_mm512_dpwssd_epi32(sum, a, a))
}

__attribute__((target("avx512f,avx512vnni"))) void run_int8() {
  __m512i sums[kChains] = {};
  const __m512i a = _mm512_set1_epi8(1);
  ASAM_CHAINS(_mm512_dpbusd_epi32(sum, a, a))
}

__attribute__((target("avx2,avxvnni"))) void run_int16_avxvnni() {
  __m256i sums[kChains] = {};
  const __m256i a = _mm256_set1_epi16(1);
  ASAM_CHAINS(_mm256_dpwssd_avx_epi32(sum, a, a))
}

__attribute__((target("avx2,avxvnni"))) void run_int8_avxvnni() {
  __m256i sums[kChains] = {};
  const __m256i a = _mm256_set1_epi8(1);
  ASAM_CHAINS(_mm256_dpbusd_avx_epi32(sum, a, a))
}

__attribute__((target("avx512f"))) void run_avx512f() {
  __m512 sums[kChains] = {};
  const __m512 a = _mm512_set1_ps(1e-9f);
  ASAM_CHAINS(_mm512_fmadd_ps(a, a, sum))
}

__attribute__((target("avx2"))) void run_int16_avx2() {
  __m256i sums[kChains] = {};
  const __m256i a = _mm256_set1_epi16(1);
  ASAM_CHAINS(_mm256_add_epi32(sum, _mm256_madd_epi16(a, sum)))
}

__attribute__((target("avx2,fma"))) void run_avx2() {
  __m256 sums[kChains] = {};
  const __m256 a = _mm256_set1_ps(1e-9f);
  ASAM_CHAINS(_mm256_fmadd_ps(a, a, sum))
}
#elif defined(__aarch64__)
void run_neon() {
  float32x4_t sums[kChains] = {};
  const float32x4_t a = vdupq_n_f32(1e-9f);
  ASAM_CHAINS(vfmaq_f32(sum, a, a))
}

__attribute__((target("+dotprod"))) void run_int8_neondot() {
  int32x4_t sums[kChains] = {};
  const int8x16_t a = vdupq_n_s8(1);
  ASAM_CHAINS(vdotq_s32(sum, a, a))
}
#endif
#undef ASAM_CHAINS
#undef ASAM_VECTOR

double ceiling(Isa isa, Packing packing) {
#if defined(__x86_64__)
  if (packing == Packing::int8 && isa == Isa::avxvnni)
    return kLoops * kChains * 32.0 / best_of(run_int8_avxvnni);
  if (packing == Packing::int16 && isa == Isa::avxvnni)
    return kLoops * kChains * 16.0 / best_of(run_int16_avxvnni);
  if (packing == Packing::int8) return kLoops * kChains * 64.0 / best_of(run_int8);
  if (packing == Packing::int16 && isa >= Isa::avx512vnni)
    return kLoops * kChains * 32.0 / best_of(run_int16);
  if (packing == Packing::int16) return kLoops * kChains * 16.0 / best_of(run_int16_avx2);
  if (isa >= Isa::avx512f) return kLoops * kChains * 16.0 / best_of(run_avx512f);
  if (isa >= Isa::avx2) return kLoops * kChains * 8.0 / best_of(run_avx2);
#elif defined(__aarch64__)
  if (packing == Packing::int8) return kLoops * kChains * 16.0 / best_of(run_int8_neondot);
  if (isa >= Isa::neon) return kLoops * kChains * 4.0 / best_of(run_neon);
#endif
  (void)isa, (void)packing;
  return 0;
}

// Numbers between -1 and 1, the same in every run.
Buffer numbers(int64_t size) {
  Buffer out(size);
  for (int64_t i = 0; i < size; ++i) {
    out.data()[i] = static_cast<float>((i * 2654435761u) % 2001u) * 1e-3f - 1.0f;
  }
  return out;
}

// What int8 leaves out of 8 bits.
constexpr Packing kBesideBytes =
    asam::kBesideInt8 == asam::Precision::int16 ? Packing::int16 : Packing::float32;

const char* name_of(Packing packing) {
  if (packing == Packing::int8) return "int8";
  return packing == Packing::int16 ? "int16" : "float32";
}

// packing: of most products. Those in integers hold what it takes to make integers of their rows.
class Profile {
 public:
  Profile(Isa isa, const Kernels& kernels, Packing packing)
      : kernels_(kernels),
        packing_(packing),
        word_(packing == Packing::int8 ? kBesideBytes : packing),
        peak_(ceiling(isa, packing)),
        word_peak_(ceiling(isa, word_)),
        wide_peak_(ceiling(isa, Packing::float32)) {}

  void sampler() {
    title("sampler, for 32 hypotheses");
    const double n = kHypotheses, passes = n / 6;
    word_product("combiner of the image latent", kCells, kChannels, kChannels, 3 * n);
    product("keys and values of the cells", kCells, kChannels, kChannels, 3 * n);
    word_product("queries of the cells", kCells, kChannels, kHalf, 2 * n);
    word_product("cells from tokens", kCells, kHalf, kChannels, 2 * n);
    product("MLP of the tokens, in", kTokenRows, kChannels, kHidden, 2 * passes);
    product("MLP of the tokens, out", kTokenRows, kHidden, kChannels, 2 * passes);
    word_product("other products of the tokens", kTokenRows, kChannels, kChannels, 8.5 * passes);
    word_product("hyper-networks", kHypotheses, kChannels, kChannels, 8 * 2);
    attention("tokens look at cells, in float32", kTokens, kCells, kHalf, 3 * n);
    attention("tokens look at tokens, in float32", kTokens, kTokens, kChannels, n);
    attention("cells look at tokens, in float32", kCells, kTokens, kHalf, 2 * n);
    norm("norms of the cells", kCells, 2 * n);
    upscale("upscaling", n);
    finish();
  }

  void encoder() {
    title("image encoder, an image");
    product("queries, keys, values", kCells, kWidth, 3 * kWidth, kBlocks);
    product("projection", kCells, kWidth, kWidth, kBlocks);
    product("MLP, in", kCells, kWidth, kMlp, kBlocks, true);
    product("MLP, out", kCells, kMlp, kWidth, kBlocks);
    attention_of_blocks();
    finish();
  }

 private:
  static constexpr int64_t kWidth = 768, kMlp = 3072, kBlocks = 12;

  void title(const char* name) {
    std::printf("\n%s: ceiling %.0f GFLOP/s in %s, %.0f in %s, float32 %.0f\n\n", name, 2e-9 * peak_,
                name_of(packing_), 2e-9 * word_peak_, name_of(word_), 2e-9 * wide_peak_);
    std::printf("| kernel | calls | us a call | ms | share of the ceiling |\n|---|---:|---:|---:|---:|\n");
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
                peak_ > 0 ? 100 * work_ / total_ / peak_ : 0);
  }

  void product(const char* name, int64_t rows, int64_t in, int64_t out, double calls, bool gelu = false) {
    product_as(packing_, name, rows, in, out, calls, gelu, peak_);
  }
  // One that is in 16 bits where others are in 8.
  void word_product(const char* name, int64_t rows, int64_t in, int64_t out, double calls) {
    product_as(word_, name, rows, in, out, calls, false, word_peak_);
  }

  void product_as(Packing packing, const char* name, int64_t rows, int64_t in, int64_t out, double calls,
                  bool gelu, double peak) {
    const Buffer a = numbers(rows * in), w = numbers(in * out), bias = numbers(out);
    const Weight weight(in, {{w.data(), out}}, packing);
    Buffer c(rows * out);
    const double time = best_of([&] {
      ops_.matmul(a.data(), in, rows, weight, {.bias = bias.data(), .relu = !gelu, .gelu = gelu}, c.data(),
                  out);
    });
    row(name, calls, time, static_cast<double>(rows * in * out), peak);
  }

  void attention_of_blocks() {
    relative("attention in padded windows, in float32", 14, 8 * 12);
    relative("attention over the grid, in float32", 8, 4 * 12);
  }

  void attention(const char* name, int64_t queries, int64_t keys, int64_t width, double calls) {
    const AttentionShape shape{queries, keys, kHeads, width / kHeads, width, width, width, width};
    const Buffer q = numbers(queries * width), k = numbers(keys * width), v = numbers(keys * width);
    Buffer out(queries * width), scratch(asam::attention_scratch(shape));
    const double time = best_of(
        [&] { kernels_.attend(shape, q.data(), k.data(), v.data(), {}, out.data(), scratch.data()); });
    row(name, calls, time, static_cast<double>(2 * queries * keys * width), wide_peak_);
  }

  void norm(const char* name, int64_t rows, double calls) {
    Buffer x = numbers(rows * kChannels), y(rows * kChannels);
    const Buffer weight = numbers(kChannels), bias = numbers(kChannels);
    const double time =
        best_of([&] { ops_.norm(x.data(), rows, kChannels, weight.data(), bias.data(), 1e-5f, y.data()); });
    row(name, calls, time, 0, peak_);
  }

  void upscale(const char* name, double calls) {
    const Buffer first = numbers(kChannels * kChannels), second = numbers(kHalf * kHalf / 2);
    asam::UpscaleWeights weights{Weight(kChannels, {{first.data(), kChannels}}, word_),
                                 Weight(kChannels / 4, {{second.data(), kHalf}}, word_),
                                 numbers(kChannels),
                                 numbers(kHalf),
                                 numbers(kChannels / 4),
                                 numbers(kChannels / 4)};
    const Buffer src = numbers(kCells * kChannels), hyper = numbers(kChannels / 8);
    Buffer logits(16 * kCells), scratch(asam::upscale_scratch(kChannels));
    const double time = best_of([&] {
      asam::upscale_cells(ops_, weights, kGrid, src.data(), 0, kCells, hyper.data(), 1, logits.data(),
                          scratch.data());
    });
    const double adds = kCells * (kChannels * kChannels + 4.0 * kChannels / 4 * kHalf + 16.0 * kChannels / 8);
    row(name, calls, time, adds, word_peak_);
  }

  void relative(const char* name, int64_t window, double calls) {
    constexpr int64_t kDim = 64;
    const Buffer table = numbers((2 * window - 1) * kDim), padded = numbers(kDim);
    const Buffer q = numbers(kCells * kDim), k = numbers(kCells * kDim), v = numbers(kCells * kDim);
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
  const Packing packing_, word_;
  asam::IntegerRoom room_{asam::Int16Rows(kTokenRows, kMlp), asam::Int8Rows(kTokenRows, kMlp)};
  const asam::Arithmetic ops_{kernels_, &room_};
  double peak_, word_peak_, wide_peak_;
  double total_ = 0, work_ = 0;  // of the table that is being printed
};

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && std::string(argv[1]) == "--once") rounds = 1;  // to see that it runs
  const Isa isa = asam::active_isa();
  const Kernels kernels = Kernels::of(isa);
  std::printf("instruction set %s, one thread\n", asam::isa_name(isa));
  std::vector<Packing> packings{Packing::float32};
  if (isa >= Isa::avx2) packings = {Packing::int16, Packing::float32};
  if (isa == Isa::avxvnni || isa == Isa::avx512vnni) {
    packings = {Packing::int8, Packing::int16, Packing::float32};
  }
  if (isa == Isa::neondot) packings = {Packing::int8, Packing::float32};
  for (const Packing packing : packings) {
    Profile profile(isa, kernels, packing);
    profile.sampler();
    profile.encoder();
  }
}
