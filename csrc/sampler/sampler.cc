#include "sampler/sampler.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "core/errors.h"
#include "core/philox.h"
#include "core/threads.h"
#include "sampler/block.h"
#include "sampler/prefix.h"

namespace asam {
namespace {

// Cells of one block: enough tokens for the weights that their products stream, and src near the caches.
constexpr int64_t kBlockCells = 512;
// Cells that are worth a thread where one hypothesis is shared by several.
constexpr int64_t kCellsPerMember = 32;

template <size_t Rank>
void expect(const std::string& name, Tensor<const float, Rank> value, const Shape<Rank>& shape) {
  value.expect_shape(name, shape);
  const auto flat = value.flat();
  require(std::all_of(flat.begin(), flat.end(), [](float x) { return std::isfinite(x); }), name,
          ": expected finite numbers, got NaN or Inf");
}

void expect_latent(const char* which, Tensor<const float, 1> mu, Tensor<const float, 1> sigma,
                   int64_t latent) {
  expect<1>(concat("mu_", which), mu, {latent});
  expect<1>(concat("sigma_", which), sigma, {latent});
  const auto flat = sigma.flat();
  const auto negative = std::find_if(flat.begin(), flat.end(), [](float x) { return x < 0.0f; });
  require(negative == flat.end(), "sigma_", which, ": expected no negative scale, got ",
          negative == flat.end() ? 0.0f : *negative);
}

Buffer copy_of(Tensor<const float, 1> value) {
  Buffer out(value.size());
  std::copy_n(value.data(), value.size(), out.data());
  return out;
}

// [C, h, w] -> [h * w, C]
Buffer rows_of(Tensor<const float, 3> value) {
  const int64_t channels = value.extent(0), cells = value.extent(1) * value.extent(2);
  Buffer out(cells * channels);
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t p = 0; p < cells; ++p) out.data()[p * channels + c] = value.data()[c * cells + p];
  }
  return out;
}

}  // namespace

Sampler::Sampler(const SamplerConfig& config, const TensorMap& tensors, Isa isa, Precision precision,
                 int64_t block)
    : weights_(std::make_shared<const SamplerWeights>(SamplerWeights::load(config, tensors, precision))),
      isa_(isa),
      kernels_(Kernels::of(isa)),
      block_(block) {
  require(block >= 0, "block: expected 0 (choose) or a count of hypotheses, got ", block);
}

std::shared_ptr<const ImageState> Sampler::image_state(Tensor<const float, 3> embedding,
                                                       Tensor<const float, 1> mu,
                                                       Tensor<const float, 1> sigma) const {
  const int64_t c = config().channels, e = config().grid;
  expect<3>("embedding", embedding, {c, e, e});
  expect_latent("image", mu, sigma, config().latent);
  auto state = std::make_shared<ImageState>();
  state->weights = weights_;
  state->combined = features(rows_of(embedding), config().cells(), weights_->combiner_image);
  state->mu = copy_of(mu);
  state->sigma = copy_of(sigma);
  return state;
}

std::shared_ptr<const PromptState> Sampler::prompt_state(const ImageState& image,
                                                         Tensor<const float, 2> tokens,
                                                         Tensor<const float, 3> dense,
                                                         Tensor<const float, 1> mu,
                                                         Tensor<const float, 1> sigma) const {
  require(image.weights == weights_, "image_state: expected one of this sampler, got one of another");
  const int64_t c = config().channels, output = config().output_tokens();
  const int64_t side = dense.extent(1) == 1 && dense.extent(2) == 1 ? 1 : config().grid;
  expect<2>("tokens", tokens, {-1, c});
  expect<3>("dense", dense, {c, side, side});
  expect_latent("prompt", mu, sigma, config().latent);

  auto state = std::make_shared<PromptState>();
  state->weights = weights_;
  state->tokens = output + tokens.extent(0);
  state->combined_rows = side * side;
  state->combined = features(rows_of(dense), state->combined_rows, weights_->combiner_prompt);
  state->point = Buffer(state->tokens * c);
  std::copy_n(weights_->output_tokens.data(), output * c, state->point.data());
  std::copy_n(tokens.data(), tokens.size(), state->point.data() + output * c);
  state->mu = copy_of(mu);
  state->sigma = copy_of(sigma);
  if (config().sampled_tokens && tokens.extent(0) > 0) {
    state->sampled = tokens.extent(0);
    state->token_combined = Buffer(state->sampled * c);
    const Linear& feature = weights_->combiner_prompt.feature;
    Arithmetic(kernels_).matmul(tokens.data(), c, state->sampled, feature.weight, feature.epilogue(),
                                state->token_combined.data(), c);
    return state;
  }
  state->queries = Buffer(state->tokens * c);
  state->image_queries = Buffer(state->tokens * (c / 2));
  PrefixScratch scratch(config(), state->tokens);
  run_prefix(kernels_, *weights_, state->tokens, state->point.data(), scratch, state->queries.data(),
             state->image_queries.data());
  return state;
}

void Sampler::sample(const ImageState& image, const PromptState& prompt, Tensor<const float, 3> eps,
                     const Tensor<float, 3>& logits, const Tensor<float, 1>& scores) const {
  expect<3>("eps", eps, {scores.extent(0) / config().masks(), kStreams, config().latent});
  const int64_t stride = kStreams * config().latent;
  run(
      image, prompt, [=](int64_t first, int64_t, float*) { return eps.data() + first * stride; }, logits,
      scores);
}

void Sampler::sample_seeded(const ImageState& image, const PromptState& prompt, std::uint64_t seed,
                            int64_t start, const Tensor<float, 3>& logits,
                            const Tensor<float, 1>& scores) const {
  const int64_t latent = config().latent;
  philox_check(scores.extent(0) / config().masks(), latent, start);
  run(
      image, prompt,
      [=](int64_t first, int64_t count, float* room) -> const float* {
        philox_normal(seed, count, latent, start + first, room);
        return room;
      },
      logits, scores);
}

// F W_f + b, the half of a combiner's first layer that belongs to rows [n, C] (identity 2); without a
// combiner the rows themselves.
Buffer Sampler::features(Buffer rows, int64_t n, const Combiner& combiner) const {
  if (!config().combines()) return rows;
  const int64_t c = config().channels;
  Buffer out(n * c);
  Arithmetic(kernels_).matmul(rows.data(), c, n, combiner.feature.weight, combiner.feature.epilogue(),
                              out.data(), c);
  return out;
}

void Sampler::check_states(const ImageState& image, const PromptState& prompt) const {
  require(image.weights == weights_, "image_state: expected one of this sampler, got one of another");
  require(prompt.weights == weights_, "prompt_state: expected one of this sampler, got one of another");
}

template <class Noise>
void Sampler::run(const ImageState& image, const PromptState& prompt, const Noise& noise,
                  const Tensor<float, 3>& logits, const Tensor<float, 1>& scores) const {
  check_states(image, prompt);
  const int64_t masks = config().masks(), n = scores.extent(0) / masks;
  scores.expect_shape("scores", {n * masks});
  logits.expect_shape("logits", {n * masks, config().logits_side(), config().logits_side()});
  const int64_t size = masks * config().logits_size();
  // Few hypotheses: threads share each of them. Else a hypothesis belongs to one thread.
  const int64_t team = std::min<int64_t>(num_threads(), config().cells() / kCellsPerMember);
  if (n < team) {
    auto workspace = workspaces_.borrow(*weights_, 1, prompt.tokens, static_cast<int>(team));
    const float* eps = nullptr;
    parallel_team(static_cast<int>(team), [&](const TeamMember& member) {
      for (int64_t s = 0; s < n; ++s) {
        if (member.index == 0) eps = noise(s, 1, workspace->eps.data());
        member.wait();
        sample_block(kernels_, image, prompt, eps, 1, *workspace, member, logits.data() + s * size,
                     scores.data() + s * masks);
      }
    });
    workspaces_.give_back(std::move(workspace));
    return;
  }
  const int64_t block = block_for(n);
  parallel_for(n, 1, [&](int64_t begin, int64_t end) {
    auto workspace = workspaces_.borrow(*weights_, block, prompt.tokens, 1);
    Barrier alone(1);
    const TeamMember member{0, 1, alone};
    for (int64_t first = begin; first < end; first += block) {
      const int64_t count = std::min(block, end - first);
      sample_block(kernels_, image, prompt, noise(first, count, workspace->eps.data()), count, *workspace,
                   member, logits.data() + first * size, scores.data() + first * masks);
    }
    workspaces_.give_back(std::move(workspace));
  });
}

int64_t Sampler::block_for(int64_t n) const {
  const int64_t fits = block_ > 0 ? block_ : std::max<int64_t>(1, kBlockCells / config().cells());
  return std::clamp<int64_t>(n, 1, fits);
}

}  // namespace asam
