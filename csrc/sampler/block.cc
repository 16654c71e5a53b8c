#include "sampler/block.h"

#include <algorithm>

#include "ops/fetch.h"
#include "ops/upscale.h"
#include "sampler/prefix.h"

namespace asam {
namespace {

constexpr float kNormEps = 1e-5f;       // nn.LayerNorm
constexpr int64_t kFirstMaskToken = 2;  // after the quality token and SAM's single mask

// Members share rows (cells or tokens), attention heads and mask tokens; what one step reads of another
// member's rows is waited for.
class Pass {
 public:
  Pass(const Kernels& kernels, const SamplerWeights& weights, const PromptState& prompt, int64_t count,
       Workspace& workspace, const TeamMember& team)
      : kernels_(kernels),
        w_(weights),
        prompt_(prompt),
        count_(count),
        ws_(workspace),
        team_(team),
        own_(workspace.members[static_cast<size_t>(team.index)]),
        ops_(kernels, &own_.integers) {}

  void run(const ImageState& image, const float* eps, float* logits, float* scores) {
    if (team_.index == 0) {
      if (w_.config.combines()) sample_latents(image, eps);
      if (prompt_.combined_rows == 1) combine_prompt_vector();
      for (int64_t s = 0; s < count_; ++s) {
        if (prompt_.sampled > 0) {
          sample_tokens(s);
        } else {
          std::copy_n(prompt_.queries.data(), tokens_ * c_, ws_.queries.data() + s * tokens_ * c_);
        }
      }
    }
    wait();
    for (int64_t s = 0; s < count_; ++s) {
      look_at_image([&](int64_t start, int64_t rows) { combine(image, s, start, rows); },
                    w_.layers[0].image_kv, s,
                    prompt_.sampled > 0 ? token_queries(s) : prompt_.image_queries.data());
    }
    for (size_t i = 0; i < w_.layers.size(); ++i) {
      const TwoWayLayer& layer = w_.layers[i];
      const bool last = i + 1 == w_.layers.size();
      update_tokens(layer, last ? nullptr : &w_.layers[i + 1]);
      const CellLinear& next = last ? w_.final_kv : w_.layers[i + 1].image_kv;
      for (int64_t s = 0; s < count_; ++s) {
        look_at_image([&](int64_t start, int64_t rows) { look_at_tokens(layer, s, start, rows); }, next, s,
                      token_queries(s));
      }
    }
    share_rows(rows_, [&](int64_t row, int64_t rows) {
      onto_queries(w_.final_out, ws_.token_mixed.data() + row * half_, row, rows);
      norm_queries(w_.final_norm, row, rows);
    });
    wait();
    make_heads(scores);
    for (int64_t s = 0; s < count_; ++s) {
      team_.share(cells_, [&](int64_t begin, int64_t end) {
        upscale_cells(ops_, w_.upscale, w_.config.grid, src(s), begin, end,
                      ws_.hyper.data() + s * masks_ * (c_ / 8), masks_,
                      logits + s * masks_ * w_.config.logits_size(), own_.upscale.data());
      });
    }
    wait();
  }

 private:
  float* src(int64_t s) { return ws_.src.data() + s * cells_ * c_; }
  const float* token_queries(int64_t s) const { return ws_.image_q.data() + s * tokens_ * half_; }

  void wait() const {
    if (team_.size > 1) team_.wait();
  }

  // Calls body(first, rows) for rows begin .. end - 1, kChunk at most and nearly equal ones at a time.
  template <class Body>
  static void in_chunks(int64_t begin, int64_t end, const Body& body) {
    const int64_t chunks = (end - begin + Workspace::kChunk - 1) / Workspace::kChunk;
    for (int64_t i = 0; i < chunks; ++i) {
      const int64_t first = begin + (end - begin) * i / chunks;
      body(first, begin + (end - begin) * (i + 1) / chunks - first);
    }
  }

  // The same for this member's rows of n.
  template <class Body>
  void share_rows(int64_t n, const Body& body) const {
    team_.share(n, [&](int64_t begin, int64_t end) { in_chunks(begin, end, body); });
  }

  // to[row ..] = from W + b, for rows of the tokens.
  void linear(const Linear& layer, const Buffer& from, int64_t row, int64_t rows, Buffer& to) {
    const int64_t in = layer.weight.in(), out = layer.weight.out();
    ops_.matmul(from.data() + row * in, in, rows, layer.weight, layer.epilogue(), to.data() + row * out, out);
  }

  // queries[row ..] += from W + b
  void onto_queries(const Linear& layer, const float* from, int64_t row, int64_t rows) {
    float* to = ws_.queries.data() + row * c_;
    ops_.matmul(from, layer.weight.in(), rows, layer.weight, layer.onto(to), to, c_);
  }

  void norm_queries(const Norm& norm, int64_t row, int64_t rows) {
    float* x = ws_.queries.data() + row * c_;
    ops_.norm(x, rows, c_, norm.weight.data(), norm.bias.data(), kNormEps, x);
  }

  // The same, and with_point = queries + point. The rows of point come again with every hypothesis.
  void norm_queries_with_point(const Norm& norm, int64_t row, int64_t rows) {
    norm_queries(norm, row, rows);
    for (int64_t r = row, end = row + rows; r < end;) {
      const int64_t token = r % tokens_, here = std::min(end - r, tokens_ - token);
      const float* point =
          (prompt_.sampled > 0 ? ws_.point.data() + (r - token) * c_ : prompt_.point.data()) + token * c_;
      ops_.add_rows(ws_.queries.data() + r * c_, here, c_, point, here, false,
                    ws_.with_point.data() + r * c_);
      r += here;
    }
  }

  // z = mu + sigma eps, and its half of the first combiner layers: one vector a hypothesis (identity 2).
  void sample_latents(const ImageState& image, const float* eps) {
    const int64_t latent = w_.config.latent;
    float *z_prompt = ws_.z_prompt.data(), *z_image = ws_.z_image.data();
    for (int64_t s = 0; s < count_; ++s) {
      const float* noise = eps + s * 2 * latent;
      for (int64_t i = 0; i < latent; ++i) {
        z_prompt[s * latent + i] = prompt_.mu.data()[i] + prompt_.sigma.data()[i] * noise[i];
        z_image[s * latent + i] = image.mu.data()[i] + image.sigma.data()[i] * noise[latent + i];
      }
    }
    ops_.matmul(z_prompt, latent, count_, w_.combiner_prompt.latent, {}, ws_.latent_prompt.data(), c_);
    ops_.matmul(z_image, latent, count_, w_.combiner_image.latent, {}, ws_.latent_image.data(), c_);
  }

  // One hypothesis' own tokens combiner_P(T, z_P), and what the shared prefix gives for tokens that are not
  // sampled.
  void sample_tokens(int64_t s) {
    const int64_t fixed = tokens_ - prompt_.sampled;
    float* point = ws_.point.data() + s * tokens_ * c_;
    std::copy_n(prompt_.point.data(), fixed * c_, point);
    for (int64_t first = 0; first < prompt_.sampled; first += ws_.kChunk) {
      const int64_t rows = std::min(ws_.kChunk, prompt_.sampled - first);
      ops_.add_rows(prompt_.token_combined.data() + first * c_, rows, c_, ws_.latent_prompt.data() + s * c_,
                    1, true, own_.chain_a.data());
      run_chain(w_.combiner_prompt, rows, own_.chain_a, own_.chain_b,
                w_.combiner_prompt.layers.back().epilogue(), point + (fixed + first) * c_);
    }
    run_prefix(kernels_, w_, tokens_, point, ws_.prefix, ws_.queries.data() + s * tokens_ * c_,
               ws_.image_q.data() + s * tokens_ * half_);
  }

  // Layers 1 .. last of a combiner over rows that wait in a after ReLU; b is room.
  void run_chain(const Combiner& combiner, int64_t rows, Buffer& a, Buffer& b, const Epilogue& last,
                 float* out) {
    const float* from = a.data();
    float* to = b.data();
    for (size_t i = 0; i + 1 < combiner.layers.size(); ++i) {
      ops_.matmul(from, c_, rows, combiner.layers[i].weight, combiner.layers[i].epilogue(true), to, c_);
      from = to;
      to = to == b.data() ? a.data() : b.data();
    }
    ops_.matmul(from, c_, rows, combiner.layers.back().weight, last, out, c_);
  }

  // Identity 3: without a mask prompt combiner_P gives one vector a hypothesis. The last bias of combiner_I
  // is added to it already.
  void combine_prompt_vector() {
    if (!w_.config.combines()) {
      for (int64_t s = 0; s < count_; ++s) {
        std::copy_n(prompt_.combined.data(), c_, ws_.dense.data() + s * c_);
      }
      return;
    }
    ops_.add_rows(ws_.latent_prompt.data(), count_, c_, prompt_.combined.data(), 1, true, ws_.dense_a.data());
    float* dense = ws_.dense.data();
    run_chain(w_.combiner_prompt, count_, ws_.dense_a, ws_.dense_b,
              w_.combiner_prompt.layers.back().epilogue(), dense);
    const float* bias = w_.combiner_image.layers.back().bias.data();
    for (int64_t s = 0; s < count_; ++s) {
      for (int64_t i = 0; i < c_; ++i) dense[s * c_ + i] += bias[i];
    }
  }

  // Some cells of one hypothesis' src: combiner_I(F, z_I) + combiner_P(D, z_P), or without combiners F + D.
  void combine(const ImageState& image, int64_t s, int64_t start, int64_t rows) {
    const bool map = prompt_.combined_rows != 1;
    float* out = src(s) + start * c_;
    fetch(out, rows * c_);
    if (!w_.config.combines()) {
      const float* dense = map ? prompt_.combined.data() + start * c_ : ws_.dense.data() + s * c_;
      ops_.add_rows(image.combined.data() + start * c_, rows, c_, dense, map ? rows : 1, false, out);
      return;
    }
    ops_.add_rows(image.combined.data() + start * c_, rows, c_, ws_.latent_image.data() + s * c_, 1, true,
                  own_.chain_a.data());
    if (!map) {
      run_chain(w_.combiner_image, rows, own_.chain_a, own_.chain_b, {.bias = ws_.dense.data() + s * c_},
                out);
      return;
    }
    run_chain(w_.combiner_image, rows, own_.chain_a, own_.chain_b, w_.combiner_image.layers.back().epilogue(),
              out);
    ops_.add_rows(prompt_.combined.data() + start * c_, rows, c_, ws_.latent_prompt.data() + s * c_, 1, true,
                  own_.chain_a.data());
    run_chain(w_.combiner_prompt, rows, own_.chain_a, own_.chain_b,
              w_.combiner_prompt.layers.back().onto(out), out);
  }

  // Changes one hypothesis' cells, some at a time, makes keys and values of them, and lets its tokens look at
  // these: queries q [T, C/2] -> token_mixed, rows [T, C/2]. One thread alone keeps the keys and values of a
  // chunk; a team shares first the cells and then the heads, over the same chunks in the same order.
  template <class Change>
  void look_at_image(const Change& change, const CellLinear& keys_values, int64_t s, const float* q) {
    const auto update = [&](int64_t start, int64_t rows, float* to) {
      change(start, rows);
      fetch(keys_values.bias_of(start), rows * keys_values.biased);
      ops_.matmul(src(s) + start * c_, c_, rows, keys_values.weight, keys_values.epilogue(start, rows), to,
                  c_);
    };
    float* kv = ws_.cell_kv.data();
    if (team_.size == 1) {
      in_chunks(0, cells_, [&](int64_t start, int64_t rows) {
        update(start, rows, kv);
        look_at_cells(kv, start, rows, 0, w_.config.heads, s, q);
      });
      return;
    }
    share_rows(cells_, [&](int64_t start, int64_t rows) { update(start, rows, kv + start * c_); });
    wait();
    team_.share(w_.config.heads, [&](int64_t begin, int64_t end) {
      in_chunks(0, cells_, [&](int64_t start, int64_t rows) {
        look_at_cells(kv + start * c_, start, rows, begin, end, s, q);
      });
    });
    wait();
  }

  // Heads begin .. end - 1 of a look at a chunk, kv its keys and values.
  void look_at_cells(const float* kv, int64_t start, int64_t rows, int64_t begin, int64_t end, int64_t s,
                     const float* q) {
    const int64_t dim = half_ / w_.config.heads;
    const AttentionShape shape{.queries = tokens_,
                               .keys = rows,
                               .heads = end - begin,
                               .dim = dim,
                               .q_stride = half_,
                               .k_stride = c_,
                               .v_stride = c_,
                               .out_stride = half_};
    kernels_.attend_part(shape, q + begin * dim, kv + begin * dim, kv + half_ + begin * dim,
                         {.first = start == 0, .last = start + rows == cells_}, own_.attention_sums.data(),
                         ws_.token_mixed.data() + s * tokens_ * half_ + begin * dim, own_.attention.data());
  }

  // The tokens of all hypotheses from this layer's look at the image to the next one's queries for it.
  void update_tokens(const TwoWayLayer& layer, const TwoWayLayer* next) {
    const Buffer &queries = ws_.queries, &with_point = ws_.with_point;
    share_rows(rows_, [&](int64_t row, int64_t rows) {
      onto_queries(layer.token_out, ws_.token_mixed.data() + row * half_, row, rows);
      norm_queries(layer.norm2, row, rows);
      ops_.matmul(queries.data() + row * c_, c_, rows, layer.mlp0.weight, layer.mlp0.epilogue(true),
                  own_.hidden.data(), w_.config.mlp_dim);
      onto_queries(layer.mlp1, own_.hidden.data(), row, rows);
      norm_queries_with_point(layer.norm3, row, rows);
      linear(layer.token_k, with_point, row, rows, ws_.token_k);
      linear(layer.token_v, queries, row, rows, ws_.token_v);
      if (next == nullptr) {
        linear(w_.final_q, with_point, row, rows, ws_.image_q);
        return;
      }
      linear(next->self_qk, with_point, row, rows, ws_.self_qk);
      linear(next->self_v, queries, row, rows, ws_.self_v);
    });
    wait();
    if (next != nullptr) {
      attend_self();
      share_rows(rows_, [&](int64_t row, int64_t rows) {
        onto_queries(next->self_out, ws_.token_mixed.data() + row * c_, row, rows);
        norm_queries_with_point(next->norm1, row, rows);
        linear(next->token_q, with_point, row, rows, ws_.image_q);
      });
      wait();
    }
  }

  // self_qk, self_v -> token_mixed, rows [T, C].
  void attend_self() {
    const int64_t dim = c_ / w_.config.heads;
    team_.share(w_.config.heads, [&](int64_t begin, int64_t end) {
      const AttentionShape shape{.queries = tokens_,
                                 .keys = tokens_,
                                 .heads = end - begin,
                                 .dim = dim,
                                 .q_stride = 2 * c_,
                                 .k_stride = 2 * c_,
                                 .v_stride = c_,
                                 .out_stride = c_};
      for (int64_t s = 0; s < count_; ++s) {
        const float* qk = ws_.self_qk.data() + s * tokens_ * 2 * c_ + begin * dim;
        kernels_.attend(shape, qk, qk + c_, ws_.self_v.data() + s * tokens_ * c_ + begin * dim, {},
                        ws_.token_mixed.data() + s * tokens_ * c_ + begin * dim, own_.attention.data());
      }
    });
    wait();
  }

  // Some cells of one hypothesis against its tokens, onto src.
  void look_at_tokens(const TwoWayLayer& layer, int64_t s, int64_t start, int64_t rows) {
    const AttentionShape shape{.queries = rows,
                               .keys = tokens_,
                               .heads = w_.config.heads,
                               .dim = half_ / w_.config.heads,
                               .q_stride = half_,
                               .k_stride = half_,
                               .v_stride = half_,
                               .out_stride = half_};
    float* cells = src(s) + start * c_;
    fetch(layer.image_q.bias_of(start), rows * half_);
    ops_.matmul(cells, c_, rows, layer.image_q.weight, layer.image_q.epilogue(start, rows),
                own_.cell_q.data(), half_);
    kernels_.attend(shape, own_.cell_q.data(), ws_.token_k.data() + s * tokens_ * half_,
                    ws_.token_v.data() + s * tokens_ * half_, {}, own_.cell_mixed.data(),
                    own_.attention.data());
    ops_.matmul(own_.cell_mixed.data(), half_, rows, layer.image_out.weight, layer.image_out.onto(cells),
                cells, c_);
    ops_.norm(cells, rows, c_, layer.norm4.weight.data(), layer.norm4.bias.data(), kNormEps, cells);
  }

  // hyper = sum_k w_k h_k, the weights w being inside the last layers (identity 1), or the K of them where
  // masks are separate; and the scores.
  void make_heads(float* scores) {
    team_.share(static_cast<int64_t>(w_.hyper.size()), [&](int64_t begin, int64_t end) {
      for (int64_t k = begin; k < end; ++k) {
        const std::vector<Linear>& mlp = w_.hyper[static_cast<size_t>(k)];
        float *a = ws_.head_a.data() + k * count_ * c_, *b = ws_.head_b.data() + k * count_ * c_;
        ops_.matmul(ws_.queries.data() + (kFirstMaskToken + k) * c_, tokens_ * c_, count_, mlp[0].weight,
                    mlp[0].epilogue(true), a, c_);
        ops_.matmul(a, c_, count_, mlp[1].weight, mlp[1].epilogue(true), b, c_);
      }
    });
    wait();
    if (team_.index == 0) {
      float* hyper = ws_.hyper.data();
      for (size_t k = 0; k < w_.hyper.size(); ++k) {
        const Linear& layer = w_.hyper[k][2];
        const bool sum = masks_ == 1;
        float* to = hyper + (sum ? 0 : static_cast<int64_t>(k) * (c_ / 8));
        ops_.matmul(ws_.head_b.data() + static_cast<int64_t>(k) * count_ * c_, c_, count_, layer.weight,
                    layer.onto(sum && k > 0 ? to : nullptr), to, masks_ * (c_ / 8));
      }
    }
    if (team_.index == team_.size - 1) make_scores(scores);
    wait();
  }

  void make_scores(float* scores) {
    const float* from = ws_.queries.data();
    int64_t stride = tokens_ * c_;
    for (size_t i = 0; i + 1 < w_.iou.size(); ++i) {
      const Linear& layer = w_.iou[i];
      float* to = i % 2 == 0 ? ws_.iou_a.data() : ws_.iou_b.data();
      ops_.matmul(from, stride, count_, layer.weight, layer.epilogue(true), to, layer.weight.out());
      from = to;
      stride = layer.weight.out();
    }
    const Linear& last = w_.iou.back();
    ops_.matmul(from, stride, count_, last.weight, last.epilogue(), scores, masks_);
  }

  const Kernels& kernels_;
  const SamplerWeights& w_;
  const PromptState& prompt_;
  const int64_t count_;
  Workspace& ws_;
  const TeamMember& team_;
  Workspace::Member& own_;
  const Arithmetic ops_;
  const int64_t c_ = w_.config.channels, half_ = c_ / 2, cells_ = w_.config.cells();
  const int64_t tokens_ = prompt_.tokens, rows_ = count_ * tokens_, masks_ = w_.config.masks();
};

}  // namespace

void sample_block(const Kernels& kernels, const ImageState& image, const PromptState& prompt,
                  const float* eps, int64_t count, Workspace& workspace, const TeamMember& member,
                  float* logits, float* scores) {
  Pass(kernels, *prompt.weights, prompt, count, workspace, member).run(image, eps, logits, scores);
}

}  // namespace asam
