#include "ops/mask_pairs.h"

#include <limits>
#include <memory>

#include "core/errors.h"
#include "core/isa.h"
#include "core/threads.h"

namespace asam {
namespace {

// Less work than this is done before another thread is awake.
constexpr int64_t kGrainBytes = int64_t{1} << 18;

int64_t grain_of(int64_t bytes_each) {
  return kGrainBytes / (bytes_each + 1) + 1;
}

std::vector<const MaskPairKernel*> detect() {
  std::vector<const MaskPairKernel*> found{&kMaskPairReference, &kMaskPairPortable};
#if defined(__x86_64__)
  // VPOPCNTDQ has a CPUID bit of its own: no level of Isa implies it.
  const Isa best = supported_isas().back();
  if (best >= Isa::avx2 && __builtin_cpu_supports("popcnt")) found.push_back(&kMaskPairAvx2);
  if (best >= Isa::avx512f && __builtin_cpu_supports("avx512vpopcntdq")) found.push_back(&kMaskPairAvx512);
#elif defined(__aarch64__)
  found.push_back(&kMaskPairNeon);
#endif
  return found;
}

const MaskPairKernel& best_kernel() {
  const Isa allowed = active_isa();
  const MaskPairKernel* best = &kMaskPairPortable;
  for (const MaskPairKernel* kernel : mask_pair_kernels()) {
#if defined(__x86_64__)
    if (kernel == &kMaskPairAvx2 && allowed >= Isa::avx2) best = kernel;
    if (kernel == &kMaskPairAvx512 && allowed >= Isa::avx512f) best = kernel;
#elif defined(__aarch64__)
    if (kernel == &kMaskPairNeon && allowed >= Isa::neon) best = kernel;
#endif
  }
  static_cast<void>(allowed);
  return *best;
}

void check_pixels(int64_t pixels) {
  require(pixels >= 0 && pixels <= std::numeric_limits<int32_t>::max(),
          "masks: expected fewer than 2^31 pixels each, got ", pixels);
}

// Half of the pairs are counted; the other half mirrors them.
void intersections_within(const MaskPairKernel& kernel, const uint64_t* a, int64_t n, int64_t words,
                          int32_t* shared) {
  for (int64_t i = 0; i < n; ++i) {
    kernel.intersect(a + i * words, a + i * words, n - i, words, shared + i * n + i);
    for (int64_t j = i + 1; j < n; ++j) shared[j * n + i] = shared[i * n + j];
  }
}

}  // namespace

const std::vector<const MaskPairKernel*>& mask_pair_kernels() {
  static const std::vector<const MaskPairKernel*> kernels = detect();
  return kernels;
}

const MaskPairKernel& mask_pair_kernel(const std::string& name) {
  if (name == "auto") {
    static const MaskPairKernel& best = best_kernel();
    return best;
  }
  std::string known = "auto";
  for (const MaskPairKernel* kernel : mask_pair_kernels()) {
    if (name == kernel->name) return *kernel;
    known += std::string(", ") + kernel->name;
  }
  throw std::invalid_argument(
      concat("kernel: expected one of ", known, " (what this processor runs), got '", name, "'"));
}

void pack_masks(const MaskPairKernel& kernel, const uint8_t* masks, int64_t n, int64_t pixels,
                uint64_t* packed) {
  check_pixels(pixels);
  const int64_t words = packed_words(pixels);
  parallel_for(n, grain_of(pixels), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernel.pack(masks + i * pixels, pixels, packed + i * words);
  });
}

void pairwise_intersections(const MaskPairKernel& kernel, const uint64_t* a, int64_t n, const uint64_t* b,
                            int64_t m, int64_t words, int32_t* shared) {
  check_pixels(words * 64);
  parallel_for(n, grain_of(m * words * 8), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) kernel.intersect(a + i * words, b, m, words, shared + i * m);
  });
}

void pair_counts(const MaskPairKernel& kernel, const PairCountsShape& shape, const uint8_t* pred,
                 const uint8_t* raters, int32_t* cross, int32_t* within_pred, int32_t* within_raters) {
  check_pixels(shape.pixels);
  const int64_t n = shape.pred, m = shape.raters, words = packed_words(shape.pixels);
  const auto count = [&](int64_t begin, int64_t end) {
    const auto scratch = std::make_unique_for_overwrite<uint64_t[]>(static_cast<size_t>((n + m) * words));
    uint64_t* const s = scratch.get();
    uint64_t* const y = s + n * words;
    for (int64_t image = begin; image < end; ++image) {
      pack_masks(kernel, pred + image * n * shape.pixels, n, shape.pixels, s);
      pack_masks(kernel, raters + image * m * shape.pixels, m, shape.pixels, y);
      pairwise_intersections(kernel, s, n, y, m, words, cross + image * n * m);
      intersections_within(kernel, s, n, words, within_pred + image * n * n);
      intersections_within(kernel, y, m, words, within_raters + image * m * m);
    }
  };
  // One image alone is left to the loops inside, which would stay on this thread under an outer loop.
  if (shape.images == 1) {
    count(0, 1);
  } else {
    parallel_for(shape.images, 1, count);
  }
}

}  // namespace asam
