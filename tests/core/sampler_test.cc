// The sampler without Python: what it allocates, and teams and threads for the sanitizers to watch. One case
// a run, named on the command line; the exit status says whether it holds.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/threads.h"
#include "harness.h"
#include "sampler/sampler.h"

namespace {

using asam::Precision;
using harness::Count;
using harness::count_of;
using harness::expect;
using harness::Weights;

const asam::SamplerConfig kConfig{.side = 160,
                                  .grid = 10,
                                  .channels = 32,
                                  .latent = 8,
                                  .mask_tokens = 3,
                                  .heads = 2,
                                  .depth = 2,
                                  .mlp_dim = 48,
                                  .iou_layers = 3,
                                  .combiner_layers = 4};

asam::Sampler make_sampler(Precision precision, bool sampled_tokens) {
  const std::int64_t c = kConfig.channels, half = c / 2, cells = kConfig.cells();
  Weights w;
  for (const std::string name : {"combiner_image", "combiner_prompt"}) {
    w.add(name + ".feature", {c, c});
    w.add(name + ".latent", {kConfig.latent, c});
    w.add(name + ".bias0", {c});
    for (int i = 1; i < kConfig.combiner_layers; ++i) w.linear(name + ".layers." + std::to_string(i), c, c);
  }
  w.add("pe", {cells, c});
  w.add("output_tokens", {kConfig.output_tokens(), c});
  for (int i = 0; i < kConfig.depth; ++i) {
    const std::string name = "layers." + std::to_string(i);
    w.attention(name + ".self_attn", c, c);
    w.attention(name + ".token_to_image", c, half);
    w.attention(name + ".image_to_token", c, half);
    w.add(name + ".token_to_image.k.pe", {cells, half});
    w.add(name + ".image_to_token.q.pe", {cells, half});
    for (const char* norm : {".norm1", ".norm2", ".norm3", ".norm4"}) w.norm(name + norm, c);
    w.linear(name + ".mlp.0", c, kConfig.mlp_dim);
    w.linear(name + ".mlp.1", kConfig.mlp_dim, c);
  }
  w.attention("final", c, half);
  w.add("final.k.pe", {cells, half});
  w.norm("final.norm", c);
  w.add("upscale.0.weight", {c, c});
  w.add("upscale.0.bias", {c / 4});
  w.norm("upscale.norm", c / 4);
  w.add("upscale.1.weight", {c / 4, c / 2});
  w.add("upscale.1.bias", {c / 8});
  for (int k = 0; k < kConfig.mask_tokens; ++k) {
    const std::string name = "hyper." + std::to_string(k) + ".";
    w.linear(name + "0", c, c);
    w.linear(name + "1", c, c);
    w.linear(name + "2", c, c / 8);
  }
  w.linear("iou.0", c, c);
  w.linear("iou.1", c, c);
  w.linear("iou.2", c, 1);
  asam::SamplerConfig config = kConfig;
  config.sampled_tokens = sampled_tokens;
  return asam::Sampler(config, w.tensors(), asam::active_isa(), precision);
}

// One sampler with an image, a prompt of two tokens like a box, or of more, and room for the results.
class Setting {
 public:
  explicit Setting(Precision precision, std::int64_t t = 2, bool sampled_tokens = false)
      : sampler_(make_sampler(precision, sampled_tokens)) {
    const std::int64_t c = kConfig.channels;
    const std::vector<float> feature(static_cast<std::size_t>(c * kConfig.cells()), 0.25f), mu(8, 0.5f),
        sigma(8, 1.0f), tokens(static_cast<std::size_t>(t * c), 0.125f),
        dense(static_cast<std::size_t>(c), 1.0f);
    image_ = sampler_.image_state({feature.data(), {c, kConfig.grid, kConfig.grid}}, {mu.data(), {8}},
                                  {sigma.data(), {8}});
    prompt_ = sampler_.prompt_state(*image_, {tokens.data(), {t, c}}, {dense.data(), {c, 1, 1}},
                                    {mu.data(), {8}}, {sigma.data(), {8}});
    logits_.resize(static_cast<std::size_t>(kMost * kConfig.logits_size()));
    scores_.resize(kMost);
  }

  // Hypotheses of the longest call; checked memory makes each of them many times slower.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  static constexpr std::int64_t kMost = 128;
#else
  static constexpr std::int64_t kMost = 1024;
#endif

  void draw(std::int64_t n) {
    sampler_.sample_seeded(*image_, *prompt_, 7, 0,
                           {logits_.data(), {n, kConfig.logits_side(), kConfig.logits_side()}},
                           {scores_.data(), {n}});
  }

  std::vector<float> first() const {
    return {logits_.begin(), logits_.begin() + static_cast<std::ptrdiff_t>(kConfig.logits_size())};
  }

 private:
  asam::Sampler sampler_;
  std::shared_ptr<const asam::ImageState> image_;
  std::shared_ptr<const asam::PromptState> prompt_;
  std::vector<float> logits_, scores_;
};

// Once warm, a call allocates a few words to run the threads, whatever n is, and no scratch.
void scratch_is_allocated_once() {
  for (const Precision precision : {Precision::float32, Precision::int16, Precision::int8}) {
    for (const int threads : {1, 2}) {
      asam::set_num_threads(threads);
      Setting setting(precision);
      setting.draw(1);
      const Count cold = count_of([&] { setting.draw(Setting::kMost); });
      expect(cold.bytes > 50'000, "the counter sees the scratch of the first call");
      setting.draw(1);
      setting.draw(64);
      const Count few = count_of([&] { setting.draw(64); });
      const Count many = count_of([&] { setting.draw(Setting::kMost); });
      const Count one = count_of([&] { setting.draw(1); });
      for (const Count& count : {few, many, one}) {
        expect(count.calls <= 4 && count.bytes <= 512, "no scratch in the loop, got " +
                                                           std::to_string(count.calls) + " allocations of " +
                                                           std::to_string(count.bytes) + " bytes");
      }
      expect(few.calls == many.calls && few.bytes == many.bytes, "the same for every n");
    }
  }
}

// A hypothesis alone, which a team of threads shares, and among others.
void team_equals_one_thread() {
  for (const Precision precision : {Precision::float32, Precision::int16, Precision::int8}) {
    Setting setting(precision);
    asam::set_num_threads(1);
    setting.draw(5);
    const std::vector<float> expected = setting.first();
    asam::set_num_threads(2);
    for (int i = 0; i < 20; ++i) {
      setting.draw(1);
      expect(setting.first() == expected, "the same bits from a team");
      setting.draw(5);
      expect(setting.first() == expected, "the same bits from two threads");
    }
  }
}

// More rows than pass through the products together, and tokens that are sampled with every hypothesis.
void many_tokens() {
  for (const Precision precision : {Precision::float32, Precision::int16, Precision::int8}) {
    for (const bool sampled : {false, true}) {
      for (const std::int64_t t : {71, 72, 73, 300}) {
        Setting setting(precision, t, sampled);
        asam::set_num_threads(1);
        setting.draw(3);
        const std::vector<float> expected = setting.first();
        asam::set_num_threads(2);
        for (const std::int64_t n : {1, 3}) {
          setting.draw(n);
          expect(setting.first() == expected, "the same bits from two threads");
        }
      }
    }
  }
}

const std::map<std::string, void (*)()> kCases{
    {"scratch_is_allocated_once", scratch_is_allocated_once},
    {"team_equals_one_thread", team_equals_one_thread},
    {"many_tokens", many_tokens},
};

}  // namespace

int main(int argc, char** argv) {
  return harness::run(argc, argv, kCases);
}
