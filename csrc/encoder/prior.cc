#include "encoder/prior.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace asam {
namespace {

constexpr int64_t kRows = 32;  // cells whose neighbours are gathered for one product
// Below this many cells the members share columns: each weight is then read by one of them.
constexpr int64_t kFewCells = 16;

AttentionShape attention_shape(const PriorConfig& config, int64_t queries, int64_t keys) {
  const int64_t c = config.channels;
  return {.queries = queries,
          .keys = keys,
          .heads = config.heads,
          .dim = c / config.heads,
          .q_stride = c,
          .k_stride = c,
          .v_stride = c,
          .out_stride = c};
}

class Pass {
 public:
  Pass(const TeamMember& member, const Kernels& kernels, const PriorWeights& weights,
       PriorWorkspace& workspace)
      : m_(member),
        k_(kernels),
        w_(weights),
        ws_(workspace),
        own_(workspace.members[static_cast<size_t>(member.index)]),
        cells_(weights.config.cells()),
        c_(weights.config.channels),
        width_(weights.config.inputs()) {}

  void run(const float* embedding, const float* tokens, int64_t t, const float* dense, bool map, float* mean,
           float* sigma) {
    m_.share(cells_, [&](int64_t begin, int64_t end) { rows_of(embedding, begin, end, 0); });
    if (w_.config.sees_prompt()) {
      ask_prompt(tokens, t, dense, map);
    } else {
      m_.wait();
    }
    const float* x = ws_.features.data();
    int64_t next = 0, side = w_.config.grid;
    for (const PriorBlock& block : w_.blocks) {
      if (block.pools) {
        float* to = ws_.maps[next].data();
        pool(x, side, block.convs.front().in, to);
        m_.wait();
        x = to;
        next = 1 - next;
      }
      for (const PriorConv& conv : block.convs) {
        float* to = ws_.maps[next].data();
        convolve(conv, x, to);
        m_.wait();
        x = to;
        next = 1 - next;
        side = conv.to;
      }
    }
    draw_from(x, side * side, mean, sigma);
  }

 private:
  // A map [C, e, e] as rows of the features from a column on.
  void rows_of(const float* map, int64_t begin, int64_t end, int64_t column) {
    for (int64_t i = 0; i < c_; ++i) {
      for (int64_t cell = begin; cell < end; ++cell) {
        ws_.features.data()[cell * width_ + column + i] = map[i * cells_ + cell];
      }
    }
  }

  void ask_prompt(const float* tokens, int64_t t, const float* dense, bool map) {
    const int64_t keys = 1 + t;
    if (m_.index == 0) {
      std::copy_n(w_.null_token.data(), c_, ws_.said.data());
      std::copy_n(tokens, t * c_, ws_.said.data() + c_);
    }
    m_.wait();
    share_columns(w_.k, ws_.said.data(), keys, false, ws_.keys.data());
    share_columns(w_.v, ws_.said.data(), keys, false, ws_.values.data());
    m_.wait();
    m_.share(cells_, [&](int64_t begin, int64_t end) {
      const int64_t count = end - begin;
      float* features = ws_.features.data() + begin * width_;
      float* q = ws_.queries.data() + begin * c_;
      float* mixed = ws_.mixed.data() + begin * c_;
      k_.matmul(features, width_, count, w_.q.weight,
                {.bias = w_.q.bias.data() + begin * c_, .bias_rows = count}, q, c_);
      k_.attend(attention_shape(w_.config, count, keys), q, ws_.keys.data(), ws_.values.data(), {}, mixed,
                own_.attention.data());
      if (map) {
        rows_of(dense, begin, end, c_);
      } else {
        for (int64_t r = 0; r < count; ++r) std::copy_n(dense, c_, features + r * width_ + c_);
      }
      float* said = features + c_;
      k_.matmul(mixed, c_, count, w_.out.weight, {.bias = w_.out.bias.data(), .residual = said}, said,
                width_);
    });
    m_.wait();
  }

  // to [rows, out] = x W + b, a range of columns each
  void share_columns(const PriorLinear& linear, const float* x, int64_t rows, bool relu, float* to) {
    const int64_t out = linear.weight.out(), panel = PackedMatrix::kPanel;
    m_.share((out + panel - 1) / panel, [&](int64_t begin, int64_t end) {
      const int64_t first = begin * panel, count = std::min(end * panel, out) - first;
      k_.matmul(x, linear.weight.in(), rows, linear.weight.columns(first, count),
                {.bias = linear.bias.data() + first, .relu = relu}, to + first, out);
    });
  }

  void convolve(const PriorConv& conv, const float* x, float* to) {
    const int64_t cells = conv.to * conv.to, in = conv.product.weight.in(), out = conv.product.weight.out();
    if (cells < kFewCells) {
      gather(conv, x, 0, cells);
      share_columns(conv.product, own_.gathered.data(), cells, true, to);
      return;
    }
    m_.share(cells, [&](int64_t begin, int64_t end) {
      for (int64_t first = begin; first < end; first += kRows) {
        const int64_t count = std::min(kRows, end - first);
        gather(conv, x, first, count);
        k_.matmul(own_.gathered.data(), in, count, conv.product.weight,
                  {.bias = conv.product.bias.data(), .relu = true}, to + first * out, out);
      }
    });
  }

  // Neighbours of `count` cells, zeros beyond the map.
  void gather(const PriorConv& conv, const float* x, int64_t first, int64_t count) {
    float* to = own_.gathered.data();
    for (int64_t cell = first; cell < first + count; ++cell) {
      for (const int64_t tap : conv.taps) {
        const int64_t row = cell / conv.to * conv.stride + tap / 3 - 1;
        const int64_t column = cell % conv.to * conv.stride + tap % 3 - 1;
        if (row >= 0 && row < conv.from && column >= 0 && column < conv.from) {
          std::copy_n(x + (row * conv.from + column) * conv.in, conv.in, to);
        } else {
          std::fill_n(to, conv.in, 0.0f);
        }
        to += conv.in;
      }
    }
  }

  // Means of 2 x 2 cells, of those that there are at an odd edge.
  void pool(const float* x, int64_t side, int64_t channels, float* to) {
    const int64_t half = (side + 1) / 2;
    m_.share(half * half, [&](int64_t begin, int64_t end) {
      for (int64_t cell = begin; cell < end; ++cell) {
        const int64_t row = cell / half * 2, column = cell % half * 2;
        const int64_t last_row = std::min(row + 2, side), last_column = std::min(column + 2, side);
        float* sum = to + cell * channels;
        std::fill_n(sum, channels, 0.0f);
        for (int64_t y = row; y < last_row; ++y) {
          for (int64_t z = column; z < last_column; ++z) {
            const float* from = x + (y * side + z) * channels;
            for (int64_t i = 0; i < channels; ++i) sum[i] += from[i];
          }
        }
        const float share = 1.0f / static_cast<float>((last_row - row) * (last_column - column));
        for (int64_t i = 0; i < channels; ++i) sum[i] *= share;
      }
    });
  }

  void draw_from(const float* x, int64_t cells, float* mean, float* sigma) {
    const int64_t width = w_.output.weight.in(), latent = w_.config.latent;
    float* pooled = own_.mean.data();
    std::fill_n(pooled, width, 0.0f);
    for (int64_t cell = 0; cell < cells; ++cell) {
      for (int64_t i = 0; i < width; ++i) pooled[i] += x[cell * width + i];
    }
    for (int64_t i = 0; i < width; ++i) pooled[i] /= static_cast<float>(cells);
    float* both = ws_.queries.data();
    share_columns(w_.output, pooled, 1, false, both);
    m_.wait();
    if (m_.index != 0) return;
    std::copy_n(both, latent, mean);
    for (int64_t i = 0; i < latent; ++i) {
      sigma[i] = std::exp(std::clamp(both[latent + i], w_.config.log_sigma_low, w_.config.log_sigma_high));
    }
  }

  const TeamMember& m_;
  const Kernels& k_;
  const PriorWeights& w_;
  PriorWorkspace& ws_;
  PriorWorkspace::Member& own_;
  const int64_t cells_, c_, width_;
};

void expect_finite(const char* name, std::span<const float> values) {
  require(std::all_of(values.begin(), values.end(), [](float x) { return std::isfinite(x); }), name,
          ": expected finite numbers, got NaN or Inf");
}

}  // namespace

PriorWorkspace::PriorWorkspace(const PriorWeights& weights, int64_t most_tokens, int most_members)
    : tokens(most_tokens) {
  const PriorConfig& config = weights.config;
  const int64_t cells = config.cells(), c = config.channels;
  features = Buffer(cells * config.inputs());
  queries = Buffer(std::max(config.sees_prompt() ? cells * c : 0, 2 * config.latent));
  int64_t map = 0, gathered = 0;
  for (const PriorBlock& block : weights.blocks) {
    if (block.pools) {
      const PriorConv& first = block.convs.front();
      map = std::max(map, first.from * first.from * first.in);
    }
    for (const PriorConv& conv : block.convs) {
      map = std::max(map, conv.to * conv.to * conv.product.weight.out());
      gathered = std::max(gathered, std::min(kRows, conv.to * conv.to) * conv.product.weight.in());
    }
  }
  for (Buffer& one : maps) one = Buffer(map);
  int64_t attention = 0;
  if (config.sees_prompt()) {
    mixed = Buffer(cells * c);
    for (Buffer* rows : {&said, &keys, &values}) *rows = Buffer((1 + tokens) * c);
    attention = attention_scratch(attention_shape(config, cells, 1 + tokens));
  }
  for (int i = 0; i < most_members; ++i) {
    members.push_back({Buffer(gathered), Buffer(attention), Buffer(weights.output.weight.in())});
  }
}

LatentPrior::LatentPrior(const PriorConfig& config, const TensorMap& tensors, Isa isa)
    : weights_(PriorWeights::load(config, tensors)), kernels_(Kernels::of(isa)) {}

void LatentPrior::run(Tensor<const float, 3> embedding, Tensor<const float, 2> tokens,
                      Tensor<const float, 3> dense, const Tensor<float, 1>& mean,
                      const Tensor<float, 1>& sigma) const {
  const int64_t e = config().grid, c = config().channels, latent = config().latent;
  embedding.expect_shape("embedding", {c, e, e});
  mean.expect_shape("mean", {latent});
  sigma.expect_shape("sigma", {latent});
  expect_finite("embedding", embedding.flat());
  bool map = false;
  if (config().sees_prompt()) {
    tokens.expect_shape("tokens", {-1, c});
    map = dense.shape() != Shape<3>{c, 1, 1};
    if (map) dense.expect_shape("dense", {c, e, e});
    expect_finite("tokens", tokens.flat());
    expect_finite("dense", dense.flat());
  } else {
    require(tokens.size() == 0 && dense.size() == 0,
            "tokens, dense: expected none, the image's network sees no prompt");
  }
  const int64_t t = config().sees_prompt() ? tokens.extent(0) : 0;
  const int threads = num_threads();
  Workspace workspace = borrow(t, threads);
  parallel_team(threads, [&](const TeamMember& member) {
    Pass(member, kernels_, weights_, *workspace)
        .run(embedding.data(), tokens.data(), t, dense.data(), map, mean.data(), sigma.data());
  });
  give_back(std::move(workspace));
}

LatentPrior::Workspace LatentPrior::borrow(int64_t tokens, int members) const {
  {
    const std::lock_guard lock(mutex_);
    const auto fits = std::find_if(idle_.begin(), idle_.end(), [=](const Workspace& one) {
      return one->tokens >= tokens && one->members.size() >= static_cast<size_t>(members);
    });
    if (fits != idle_.end()) {
      Workspace workspace = std::move(*fits);
      idle_.erase(fits);
      return workspace;
    }
    idle_.clear();  // too small for what is asked now
  }
  return std::make_unique<PriorWorkspace>(weights_, tokens, members);
}

void LatentPrior::give_back(Workspace workspace) const {
  const std::lock_guard lock(mutex_);
  idle_.push_back(std::move(workspace));
}

}  // namespace asam
