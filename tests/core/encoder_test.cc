// The image encoder and a latent network without Python: what they allocate, and a team of threads for the
// sanitizers to watch. One case a run, named on the command line; the exit status says whether it holds.
#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/threads.h"
#include "encoder/encoder.h"
#include "encoder/prior.h"
#include "encoder/windows.h"
#include "harness.h"

namespace {

using asam::Precision;
using harness::Count;
using harness::count_of;
using harness::expect;
using harness::Weights;

// Windows that fit, that are padded on one side and on both, and the whole grid; heads beside lane edges.
const asam::EncoderConfig kConfig{
    .side = 112, .width = 30, .heads = 2, .mlp_dim = 50, .channels = 20, .windows = {3, 0, 9}};

asam::ImageEncoder make_encoder(asam::Isa isa, Precision precision) {
  const std::int64_t d = kConfig.width, c = kConfig.channels;
  Weights w;
  w.linear("patch", kConfig.patch_size(), d);
  w.add("position", {kConfig.cells(), d});
  for (std::size_t i = 0; i < kConfig.windows.size(); ++i) {
    const std::string name = "blocks." + std::to_string(i);
    const std::int64_t reach = 2 * kConfig.window(i) - 1;
    w.norm(name + ".norm1", d);
    w.norm(name + ".norm2", d);
    w.linear(name + ".qkv", d, 3 * d);
    w.add(name + ".relative_h", {reach, kConfig.head_dim()});
    w.add(name + ".relative_w", {reach, kConfig.head_dim()});
    w.linear(name + ".out", d, d);
    w.linear(name + ".mlp.0", d, kConfig.mlp_dim);
    w.linear(name + ".mlp.1", kConfig.mlp_dim, d);
  }
  w.add("neck.0.weight", {d, c});
  w.norm("neck.1", c);
  w.add("neck.2.weight", {9 * c, c});
  w.norm("neck.3", c);
  return asam::ImageEncoder(kConfig, w.tensors(), isa, precision);
}

// Windows that fit, that are padded on one side and on both; channels and heads beside lane edges.
const asam::TinyConfig kTiny{
    .side = 48, .channels = 20, .stages = {{{6, 2, 1, 1}, {14, 1, 2, 4}, {18, 2, 3, 3}, {33, 1, 3, 2}}}};

asam::TinyImageEncoder make_tiny(asam::Isa isa, Precision precision) {
  constexpr std::int64_t kExpansion = asam::TinyConfig::kExpansion;
  Weights w;
  const auto depthwise = [&](const std::string& name, std::int64_t channels) {
    w.add(name + ".depthwise.weight", {9, channels});
    w.add(name + ".depthwise.bias", {channels});
  };
  const auto bottleneck = [&](const std::string& name, std::int64_t in, std::int64_t inner,
                              std::int64_t out) {
    w.linear(name + ".expand", in, inner);
    depthwise(name, inner);
    w.linear(name + ".project", inner, out);
  };
  std::int64_t before = kTiny.stages[0].width;
  w.linear("patch.0", 27, before / 2);
  w.linear("patch.1", 9 * before / 2, before);
  for (std::size_t i = 0; i < kTiny.stages.size(); ++i) {
    const asam::TinyConfig::Stage& stage = kTiny.stages[i];
    const std::string name = "stages." + std::to_string(i);
    const std::int64_t c = stage.width;
    if (i > 0) bottleneck(name + ".merge", before, c, c);
    for (std::int64_t b = 0; b < stage.depth; ++b) {
      const std::string block = name + ".blocks." + std::to_string(b);
      if (i == 0) {
        bottleneck(block, c, kExpansion * c, c);
        continue;
      }
      w.norm(block + ".norm1", c);
      w.norm(block + ".norm2", c);
      w.linear(block + ".qkv", c, 3 * c);
      w.add(block + ".padded", {2, stage.heads, stage.head_dim()});
      w.add(block + ".biases", {stage.heads, stage.window * stage.window});
      w.linear(block + ".out", c, c);
      depthwise(block, c);
      w.linear(block + ".mlp.0", c, kExpansion * c);
      w.linear(block + ".mlp.1", kExpansion * c, c);
    }
    before = c;
  }
  w.add("neck.0.weight", {before, kTiny.channels});
  w.norm("neck.1", kTiny.channels);
  w.add("neck.2.weight", {9 * kTiny.channels, kTiny.channels});
  w.norm("neck.3", kTiny.channels);
  return asam::TinyImageEncoder(kTiny, w.tensors(), isa, precision);
}

template <class Encoder>
std::vector<float> encode(const Encoder& encoder) {
  const auto& config = encoder.config();
  const std::int64_t side = config.side, e = config.grid();
  std::vector<float> image(static_cast<std::size_t>(3 * side * side));
  for (std::size_t i = 0; i < image.size(); ++i)
    image[i] = static_cast<float>(i * 2654435761u % 1000) * 0.002f - 1.0f;
  std::vector<float> embedding(static_cast<std::size_t>(config.channels * e * e));
  encoder.encode({image.data(), {3, side, side}}, {embedding.data(), {config.channels, e, e}});
  return embedding;
}

// On every instruction set, so that the sanitizers see each of them.
template <class Make>
void team_equals_one_thread(Make&& make) {
  for (const asam::Isa isa : asam::supported_isas()) {
    for (const Precision precision : {Precision::float32, Precision::int16, Precision::int8}) {
      const auto encoder = make(isa, precision);
      asam::set_num_threads(1);
      const std::vector<float> expected = encode(encoder);
      for (const int threads : {2, 3, 11}) {  // 11: more than there are rows in some stages
        asam::set_num_threads(threads);
        for (int i = 0; i < 5; ++i) expect(encode(encoder) == expected, "the same bits from a team");
      }
    }
  }
}

void encoder_team_equals_one_thread() {
  team_equals_one_thread(make_encoder);
}

void tiny_encoder_team_equals_one_thread() {
  team_equals_one_thread(make_tiny);
}

// Once warm, an image allocates a few words to run the threads, and no scratch.
template <class Make>
void scratch_is_allocated_once(Make&& make) {
  for (const Precision precision : {Precision::float32, Precision::int16, Precision::int8}) {
    for (const int threads : {1, 2}) {
      asam::set_num_threads(threads);
      const auto encoder = make(asam::active_isa(), precision);
      const auto& config = encoder.config();
      const Count cold = count_of([&] { encode(encoder); });
      const Count warm = count_of([&] { encode(encoder); });
      // What `encode` above makes itself: the image and the embedding.
      const std::int64_t own =
          4 * (3 * config.side * config.side + config.channels * config.grid() * config.grid());
      expect(cold.bytes > own + 50'000, "the counter sees the scratch of the first image");
      expect(warm.calls <= 6 && warm.bytes <= own + 512, "no scratch in a later image, got " +
                                                             std::to_string(warm.calls) + " allocations of " +
                                                             std::to_string(warm.bytes) + " bytes");
    }
  }
}

void encoder_scratch_is_allocated_once() {
  scratch_is_allocated_once(make_encoder);
}

void tiny_encoder_scratch_is_allocated_once() {
  scratch_is_allocated_once(make_tiny);
}

// Maps of 7, 4 and 2 cells a side: shared by cells, then by columns.
const asam::PriorConfig kPrior{.grid = 7,
                               .channels = 24,
                               .latent = 10,
                               .heads = 3,
                               .convs = 2,
                               .widths = {12, 40, 33},
                               .log_sigma_low = -6,
                               .log_sigma_high = 2};

asam::LatentPrior make_prior(asam::Isa isa) {
  const std::int64_t c = kPrior.channels;
  Weights w;
  w.add("null_token", {c});
  w.add("q.weight", {c, c});
  w.add("q.bias", {kPrior.cells(), c});
  for (const char* name : {"k", "v", "out"}) w.linear(name, c, c);
  std::int64_t in = kPrior.inputs();
  for (std::size_t i = 0; i < kPrior.widths.size(); ++i) {
    for (std::int64_t j = 0; j < kPrior.convs; ++j) {
      w.linear("blocks." + std::to_string(i) + "." + std::to_string(j), 9 * in, kPrior.widths[i]);
      in = kPrior.widths[i];
    }
  }
  w.linear("output", in, 2 * kPrior.latent);
  return asam::LatentPrior(kPrior, w.tensors(), isa);
}

struct Asked {
  std::vector<float> embedding, tokens, dense, mean, sigma;

  Asked()
      : embedding(static_cast<std::size_t>(kPrior.channels * kPrior.cells()), 0.5f),
        tokens(static_cast<std::size_t>(2 * kPrior.channels), -0.25f),
        dense(static_cast<std::size_t>(kPrior.channels), 0.125f),
        mean(static_cast<std::size_t>(kPrior.latent)),
        sigma(mean.size()) {
    for (std::size_t i = 0; i < embedding.size(); ++i) embedding[i] -= static_cast<float>(i % 13) * 0.1f;
  }

  void of(const asam::LatentPrior& prior) {
    const std::int64_t c = kPrior.channels, e = kPrior.grid, latent = kPrior.latent;
    prior.run({embedding.data(), {c, e, e}}, {tokens.data(), {2, c}}, {dense.data(), {c, 1, 1}},
              {mean.data(), {latent}}, {sigma.data(), {latent}});
  }
};

void prior_team_equals_one_thread() {
  for (const asam::Isa isa : asam::supported_isas()) {
    const asam::LatentPrior prior = make_prior(isa);
    Asked alone, team;
    asam::set_num_threads(1);
    alone.of(prior);
    for (const int threads : {2, 3}) {
      asam::set_num_threads(threads);
      for (int i = 0; i < 5; ++i) {
        team.of(prior);
        expect(team.mean == alone.mean && team.sigma == alone.sigma, "the same bits from a team");
      }
    }
  }
}

void prior_scratch_is_allocated_once() {
  const asam::LatentPrior prior = make_prior(asam::active_isa());
  Asked asked;
  for (const int threads : {1, 2}) {
    asam::set_num_threads(threads);
    const Count cold = count_of([&] { asked.of(prior); });
    const Count warm = count_of([&] { asked.of(prior); });
    expect(cold.bytes > 5'000, "the counter sees the scratch of the first prompt");
    expect(warm.calls <= 4 && warm.bytes <= 512, "no scratch in a later prompt, got " +
                                                     std::to_string(warm.calls) + " allocations of " +
                                                     std::to_string(warm.bytes) + " bytes");
  }
}

void parts_cover_the_windows() {
  for (const std::int64_t grid : {1, 5, 14, 30, 64}) {
    for (const std::int64_t window : {1, 3, 14, 64}) {
      for (const std::int64_t most : {1, 7, 128, 5000}) {
        std::vector<int> asked(static_cast<std::size_t>(grid * grid));
        std::map<std::pair<std::int64_t, std::int64_t>, std::pair<std::int64_t, std::int64_t>> sizes;
        for (const asam::WindowPart& part : asam::window_parts(grid, window, most)) {
          expect(part.queries >= 1 && part.queries <= most, "queries within the limit");
          for (std::int64_t i = part.first; i < part.first + part.queries; ++i) {
            ++asked[static_cast<std::size_t>((part.y + i / part.wide) * grid + part.x + i % part.wide)];
          }
          auto& [least, largest] =
              sizes.try_emplace({part.y, part.x}, part.queries, part.queries).first->second;
          least = std::min(least, part.queries);
          largest = std::max(largest, part.queries);
        }
        expect(std::all_of(asked.begin(), asked.end(), [](int times) { return times == 1; }),
               "every cell asks once");
        for (const auto& [window_at, size] : sizes) {
          expect(size.second - size.first <= 1, "parts of a window are nearly equal");
        }
      }
    }
  }
}

const std::map<std::string, void (*)()> kCases{
    {"parts_cover_the_windows", parts_cover_the_windows},
    {"encoder_scratch_is_allocated_once", encoder_scratch_is_allocated_once},
    {"encoder_team_equals_one_thread", encoder_team_equals_one_thread},
    {"prior_scratch_is_allocated_once", prior_scratch_is_allocated_once},
    {"prior_team_equals_one_thread", prior_team_equals_one_thread},
    {"tiny_encoder_scratch_is_allocated_once", tiny_encoder_scratch_is_allocated_once},
    {"tiny_encoder_team_equals_one_thread", tiny_encoder_team_equals_one_thread},
};

}  // namespace

int main(int argc, char** argv) {
  return harness::run(argc, argv, kCases);
}
