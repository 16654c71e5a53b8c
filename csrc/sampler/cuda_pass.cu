#include "sampler/cuda_pass.cuh"

#include "core/cuda_device.cuh"
#include "core/philox.h"
#include "ops/attention.cuh"
#include "ops/join_rows.cuh"
#include "ops/latents.cuh"
#include "ops/matmul.cuh"
#include "ops/round.cuh"

namespace asam::cuda {
namespace {

constexpr float kNormEps = 1e-5f;            // nn.LayerNorm
constexpr float kNorm2dEps = 1e-6f;          // SAM's LayerNorm2d
constexpr std::int64_t kFirstMaskToken = 2;  // after the quality token and SAM's single mask

void copy(float* to, const float* from, std::int64_t count, cudaStream_t stream) {
  if (count == 0) return;
  check(cudaMemcpyAsync(to, from, static_cast<std::size_t>(count) * sizeof(float), cudaMemcpyDeviceToDevice,
                        stream),
        "copying within the device");
}

// x W + b of dense rows.
template <class T>
MatmulArgs<T> product(const Linear<T>& layer, const T* a, std::int64_t rows) {
  MatmulArgs<T> m;
  m.rows = rows;
  m.w = layer.w;
  m.a = a;
  m.a_stride = layer.w.in;
  m.bias = layer.bias;
  m.bias_rows = layer.bias_rows;
  return m;
}

template <class T>
void add_norm(MatmulArgs<T>& m, const Norm& norm, int width, float eps) {
  m.norm_weight = norm.weight;
  m.norm_bias = norm.bias;
  m.norm_width = width;
  m.norm_eps = eps;
}

// Layers 1 .. last of a combiner over relu(feature + latent), rows in the order of hypotheses; `last` says
// where the result goes. room: two arrays of [rows, C].
template <class T>
void run_chain(const std::vector<Linear<T>>& layers, const float* feature, std::int64_t feature_rows,
               const float* latent, std::int64_t rows, T* room_a, T* room_b, MatmulArgs<T> last,
               cudaStream_t stream) {
  const T* from = nullptr;
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool ends = i + 1 == layers.size();
    MatmulArgs<T> m = ends ? last : product<T>(layers[i], from, rows);
    if (ends) {
      m.rows = rows;
      m.w = layers[i].w;
      m.a = from;
      m.a_stride = m.w.in;
    } else {
      m.relu = true;
      m.act = from == room_a ? room_b : room_a;
      m.act_stride = m.w.out;
    }
    if (i == 0) {
      m.feature = feature;
      m.latent = latent;
      m.feature_rows = feature_rows;
    }
    matmul(m, stream);
    from = m.act;
  }
}

// sampler/prefix.h for `hypotheses` times T rows: point [T, C] -> queries [T, C], image_queries [T, C/2].
template <class Act>
void run_prefix(const Weights<Act>& w, std::int64_t hypotheses, std::int64_t tokens, const float* point,
                const PrefixRoom& room, float* queries, Act* image_queries, cudaStream_t stream) {
  const int c = static_cast<int>(w.config.channels), heads = static_cast<int>(w.config.heads);
  const std::int64_t rows = hypotheses * tokens;
  const auto linear = [&](const Linear<float>& layer, const float* from, float* to) {
    MatmulArgs<float> m = product(layer, from, rows);
    m.wide = to;
    matmul(m, stream);
  };
  linear(w.prefix.qk, point, room.qk);
  linear(w.prefix.v, point, room.v);
  AttentionArgs<float> self;
  self.q = {room.qk, 2 * c, tokens * 2 * c};
  self.k = {room.qk + c, 2 * c, tokens * 2 * c};
  self.v = {room.v, c, tokens * c};
  self.out = {room.mixed, c, tokens * c};
  self.queries = self.keys = static_cast<int>(tokens);
  self.heads = heads;
  self.dim = c / heads;
  self.batch = static_cast<int>(hypotheses);
  attend_few_queries(self, stream);
  // SAM's first self-attention has neither positions nor a residual.
  MatmulArgs<float> out = product<float>(w.prefix.out, room.mixed, rows);
  add_norm(out, w.prefix.norm, c, kNormEps);
  out.wide = queries;
  out.plus = point;
  out.plus_rows = rows;
  out.act_plus = room.with_point;
  matmul(out, stream);
  if constexpr (std::is_same_v<Act, float>) {
    linear(w.prefix.token_q, room.with_point, image_queries);
  } else {
    linear(w.prefix.token_q, room.with_point, room.image_queries);
    round_to(room.image_queries, rows * c / 2, image_queries, stream);
  }
}

template <class Act>
class Pass {
 public:
  Pass(const Weights<Act>& weights, const Sizes& sizes, const ImageState& image,
       const PromptState<Act>& prompt, const Workspace<Act>& workspace, cudaStream_t stream)
      : w_(weights), sizes_(sizes), image_(image), prompt_(prompt), ws_(workspace), stream_(stream) {}

  void run(const float* eps, const asam_cuda_rng* rng, float* logits, float* scores) {
    if (w_.config.combines()) make_latents(eps, rng);
    if (sizes_.sampled) make_tokens();
    combine();
    project_cells(w_.layers[0].image_kv);
    if (sizes_.sampled) {
      look_at_image(ws_.image_q, tokens_ * half_);
    } else {
      look_at_image(prompt_.image_queries, 0);
    }
    for (std::size_t i = 0; i < w_.layers.size(); ++i) {
      const TwoWayLayer<Act>& layer = w_.layers[i];
      const TwoWayLayer<Act>* next = i + 1 < w_.layers.size() ? &w_.layers[i + 1] : nullptr;
      update_tokens(layer, i == 0 && !sizes_.sampled);
      look_at_tokens(layer);
      if (next != nullptr) {
        attend_self(layer, *next);
        project_cells(next->image_kv);
        look_at_image(ws_.image_q, tokens_ * half_);
      } else {
        project_cells(w_.final_kv);
        look_at_image(ws_.of_point + half_, tokens_ * layer.of_point.w.out, layer.of_point.w.out);
      }
    }
    MatmulArgs<Act> out = onto_queries(w_.final_out, ws_.token_mixed, w_.final_norm);
    out.act = ws_.token_acts;
    matmul(out, stream_);
    make_hyper();
    make_scores(scores);
    upscale(logits);
  }

 private:
  // z = mu + sigma eps, and its half of the first combiner layers: one vector a hypothesis (identity 2).
  void make_latents(const float* eps, const asam_cuda_rng* rng) {
    LatentArgs latents;
    latents.n = sizes_.n;
    latents.latent = static_cast<int>(w_.config.latent);
    latents.mu_prompt = prompt_.mu;
    latents.sigma_prompt = prompt_.sigma;
    latents.mu_image = image_.mu;
    latents.sigma_image = image_.sigma;
    latents.eps = eps;
    latents.rng = rng;
    latents.z = ws_.z;
    sample_latents(latents, stream_);
    MatmulArgs<float> m;
    m.rows = sizes_.n;
    m.w = w_.latent;
    m.a = ws_.z;
    m.a_stride = w_.config.latent;
    m.wide = ws_.latent;
    m.batch = 2;
    m.a_batch = sizes_.n * w_.config.latent;
    m.w_batch = static_cast<std::int64_t>(w_.latent.in) * w_.latent.stride;
    m.wide_batch = sizes_.n * c_;
    matmul(m, stream_);
  }
  const float* latent_prompt() const { return ws_.latent; }
  const float* latent_image() const { return ws_.latent + sizes_.n * c_; }

  // Each hypothesis' own tokens combiner_P(T, z_P), and what the shared prefix gives for tokens that are not
  // sampled.
  void make_tokens() {
    const std::int64_t rows = sizes_.n * sizes_.t;
    MatmulArgs<float> last = product<float>(w_.vector.back(), nullptr, rows);
    last.act = ws_.token_a;
    last.act_stride = c_;
    // The chain alternates its two arrays; the result goes to the one that its last layer does not read.
    if (w_.vector.size() % 2 == 0) last.act = ws_.token_b;
    run_chain(w_.vector, prompt_.token_combined, sizes_.t, latent_prompt(), rows, ws_.token_a, ws_.token_b,
              last, stream_);
    join_rows(prompt_.point, w_.config.output_tokens(), last.act, sizes_.t, sizes_.n, c_, ws_.point, stream_);
    run_prefix(w_, sizes_.n, tokens_, ws_.point, ws_.prefix, ws_.queries, ws_.image_q, stream_);
  }

  // src = combiner_I(F, z_I) + combiner_P(D, z_P), or without combiners F + D
  void combine() {
    MatmulArgs<Act> image = store_src();
    if (!w_.config.combines()) {
      image.rows = rows_;
      image.w = {nullptr, 0, static_cast<int>(c_), static_cast<int>(c_)};  // an empty sum
      image.bias = prompt_.combined;
      image.bias_rows = sizes_.dense_rows;
      image.residual = image_.combined;
      image.residual_rows = cells_;
      return matmul(image, stream_);
    }
    if (sizes_.map) {
      image.bias = w_.image_layers.back().bias;
      run_chain(w_.image_layers, image_.combined, cells_, latent_image(), rows_, ws_.cells_a, ws_.cells_b,
                image, stream_);
      MatmulArgs<Act> prompt = store_src();
      prompt.bias = w_.prompt_layers.back().bias;
      prompt.residual = ws_.src;
      prompt.residual_rows = rows_;
      run_chain(w_.prompt_layers, prompt_.combined, cells_, latent_prompt(), rows_, ws_.cells_a, ws_.cells_b,
                prompt, stream_);
      return;
    }
    // Identity 3: combiner_P gives one vector a hypothesis, which serves as the bias of combiner_I's last
    // layer.
    MatmulArgs<float> vector;
    vector.bias = w_.vector_bias;
    vector.wide = ws_.dense;
    run_chain(w_.vector, prompt_.combined, 1, latent_prompt(), sizes_.n, ws_.dense_a, ws_.dense_b, vector,
              stream_);
    image.bias = ws_.dense;
    image.bias_rows = sizes_.n;
    image.bias_every = cells_;
    run_chain(w_.image_layers, image_.combined, cells_, latent_image(), rows_, ws_.cells_a, ws_.cells_b,
              image, stream_);
  }

  // As float32, and as products take it where that is another type.
  MatmulArgs<Act> store_src() const {
    MatmulArgs<Act> m;
    m.wide = ws_.src;
    if constexpr (!Workspace<Act>::kOneType) m.act = ws_.src_act;
    m.act_stride = c_;
    return m;
  }

  // Keys and values that tokens look at next -> cells_a.
  void project_cells(const Linear<Act>& keys_values) {
    MatmulArgs<Act> m = product<Act>(keys_values, ws_.src_act, rows_);
    m.act = ws_.cells_a;
    m.act_stride = c_;
    matmul(m, stream_);
  }

  // Token queries against the cells -> token_mixed, rows [T, C/2].
  void look_at_image(const Act* q, std::int64_t q_batch, std::int64_t q_stride = 0) {
    AttentionArgs<Act> a;
    a.q = {q, q_stride > 0 ? q_stride : half_, q_batch};
    a.k = {ws_.cells_a, c_, cells_ * c_};
    a.v = {ws_.cells_a + half_, c_, cells_ * c_};
    a.out = {ws_.token_mixed, half_, tokens_ * half_};
    a.queries = static_cast<int>(tokens_);
    a.keys = static_cast<int>(cells_);
    attend_few_queries(with_heads(a, half_), stream_);
  }

  AttentionArgs<Act> with_heads(AttentionArgs<Act> a, std::int64_t width) const {
    a.heads = static_cast<int>(w_.config.heads);
    a.dim = static_cast<int>(width) / a.heads;
    a.batch = static_cast<int>(sizes_.n);
    return a;
  }

  // queries = norm(queries + from W + b)
  MatmulArgs<Act> onto_queries(const Linear<Act>& layer, const Act* from, const Norm& norm) const {
    MatmulArgs<Act> m = product(layer, from, token_rows_);
    m.residual = ws_.queries;
    m.residual_rows = token_rows_;
    m.wide = ws_.queries;
    m.act_stride = c_;
    add_norm(m, norm, static_cast<int>(c_), kNormEps);
    return m;
  }

  // The same with queries + point beside it.
  void add_point(MatmulArgs<Act>& m) const {
    m.plus = sizes_.sampled ? ws_.point : prompt_.point;
    m.plus_rows = sizes_.sampled ? token_rows_ : tokens_;
    m.act_plus = with_point();
  }
  Act* with_point() const { return ws_.token_acts + token_rows_ * c_; }

  // The tokens from a layer's look at the image to what the cells and the next layer want of them.
  void update_tokens(const TwoWayLayer<Act>& layer, bool queries_of_prompt) {
    MatmulArgs<Act> out = onto_queries(layer.token_out, ws_.token_mixed, layer.norm2);
    if (queries_of_prompt) {  // identity 4
      out.residual = prompt_.queries;
      out.residual_rows = tokens_;
    }
    out.act = ws_.token_acts;
    matmul(out, stream_);

    MatmulArgs<Act> hidden = product<Act>(layer.mlp0, ws_.token_acts, token_rows_);
    hidden.relu = true;
    hidden.act = ws_.hidden;
    hidden.act_stride = layer.mlp0.w.out;
    matmul(hidden, stream_);
    MatmulArgs<Act> mlp = onto_queries(layer.mlp1, ws_.hidden, layer.norm3);
    mlp.act = ws_.token_acts;
    add_point(mlp);
    matmul(mlp, stream_);

    MatmulArgs<Act> of_point = product<Act>(layer.of_point, with_point(), token_rows_);
    of_point.act = ws_.of_point;
    of_point.act_stride = layer.of_point.w.out;
    matmul(of_point, stream_);
    MatmulArgs<Act> of_queries = product<Act>(layer.of_queries, ws_.token_acts, token_rows_);
    of_queries.act = ws_.of_queries;
    of_queries.act_stride = layer.of_queries.w.out;
    matmul(of_queries, stream_);
  }

  // Self-attention of the next layer, its norm, and its token queries -> queries, image_q.
  void attend_self(const TwoWayLayer<Act>& layer, const TwoWayLayer<Act>& next) {
    const std::int64_t qk = layer.of_point.w.out, v = layer.of_queries.w.out;
    AttentionArgs<Act> a;
    a.q = {ws_.of_point + half_, qk, tokens_ * qk};
    a.k = {ws_.of_point + half_ + c_, qk, tokens_ * qk};
    a.v = {ws_.of_queries + half_, v, tokens_ * v};
    a.out = {ws_.token_mixed, c_, tokens_ * c_};
    a.queries = a.keys = static_cast<int>(tokens_);
    attend_few_queries(with_heads(a, c_), stream_);
    MatmulArgs<Act> out = onto_queries(next.self_out, ws_.token_mixed, next.norm1);
    add_point(out);
    matmul(out, stream_);
    MatmulArgs<Act> q = product<Act>(next.token_q, with_point(), token_rows_);
    q.act = ws_.image_q;
    q.act_stride = half_;
    matmul(q, stream_);
  }

  // The cells against their hypothesis' tokens, onto src.
  void look_at_tokens(const TwoWayLayer<Act>& layer) {
    MatmulArgs<Act> q = product<Act>(layer.image_q, ws_.src_act, rows_);
    q.act = ws_.cells_a;
    q.act_stride = half_;
    matmul(q, stream_);
    const std::int64_t k = layer.of_point.w.out, v = layer.of_queries.w.out;
    AttentionArgs<Act> a;
    a.q = {ws_.cells_a, half_, cells_ * half_};
    a.k = {ws_.of_point, k, tokens_ * k};
    a.v = {ws_.of_queries, v, tokens_ * v};
    a.out = {ws_.cells_b, half_, cells_ * half_};
    a.queries = static_cast<int>(cells_);
    a.keys = static_cast<int>(tokens_);
    attend_few_keys(with_heads(a, half_), stream_);
    MatmulArgs<Act> out = store_src();
    out.rows = rows_;
    out.w = layer.image_out.w;
    out.a = ws_.cells_b;
    out.a_stride = half_;
    out.bias = layer.image_out.bias;
    out.residual = ws_.src;
    out.residual_rows = rows_;
    add_norm(out, layer.norm4, static_cast<int>(c_), kNormEps);
    matmul(out, stream_);
  }

  // hyper = sum_k w_k h_k, the weights w being inside the last layers (identity 1), or the K of them where
  // masks are separate.
  void make_hyper() {
    const std::int64_t k = w_.config.mask_tokens;
    const auto layer = [&](const Linear<Act>& of, const Act* from, std::int64_t stride, Act* to) {
      MatmulArgs<Act> m = product(of, from, sizes_.n);
      m.a_stride = stride;
      m.relu = true;
      m.act = to;
      m.act_stride = k * c_;
      m.batch = static_cast<int>(k);
      m.a_batch = m.bias_batch = m.act_batch = c_;
      m.w_batch = c_ * of.w.stride;
      matmul(m, stream_);
    };
    layer(w_.hyper0, ws_.token_acts + kFirstMaskToken * c_, tokens_ * c_, ws_.head_a);
    layer(w_.hyper1, ws_.head_a, k * c_, ws_.head_b);
    MatmulArgs<Act> sum = product<Act>(w_.hyper2, ws_.head_b, sizes_.n);
    sum.wide = ws_.hyper;
    if (w_.config.separate_masks) {
      sum.a_stride = k * c_;
      sum.batch = static_cast<int>(k);
      sum.a_batch = c_;
      sum.w_batch = c_ * sum.w.stride;
      sum.bias_batch = c_ / 8;
      sum.wide_batch = sizes_.n * (c_ / 8);
    }
    matmul(sum, stream_);
  }

  void make_scores(float* scores) {
    const Act* from = ws_.token_acts;
    std::int64_t stride = tokens_ * c_;
    for (std::size_t i = 0; i < w_.iou.size(); ++i) {
      MatmulArgs<Act> m = product(w_.iou[i], from, sizes_.n);
      m.a_stride = stride;
      if (i + 1 == w_.iou.size()) {
        m.wide = scores;
      } else {
        m.relu = true;
        m.act = i % 2 == 0 ? ws_.iou_a : ws_.iou_b;
        m.act_stride = m.w.out;
      }
      matmul(m, stream_);
      from = m.act;
      stride = m.act_stride;
    }
  }

  // Identity 6: each cell makes its own 4 x 4 logits.
  void upscale(float* logits) {
    MatmulArgs<Act> first = product<Act>(w_.upscale0, ws_.src_act, rows_);
    add_norm(first, w_.upscale_norm, static_cast<int>(c_ / 4), kNorm2dEps);
    first.gelu = true;
    first.act = ws_.cells_a;
    first.act_stride = c_;
    matmul(first, stream_);
    MatmulArgs<Act> second = product<Act>(w_.upscale1, ws_.cells_a, rows_ * 4);
    second.gelu = true;
    second.hyper = ws_.hyper;
    second.logits = logits;
    second.grid = static_cast<int>(w_.config.grid);
    second.masks = static_cast<int>(w_.config.masks());
    matmul(second, stream_);
  }

  const Weights<Act>& w_;
  const Sizes& sizes_;
  const ImageState& image_;
  const PromptState<Act>& prompt_;
  const Workspace<Act>& ws_;
  const cudaStream_t stream_;
  const std::int64_t c_ = w_.config.channels, half_ = c_ / 2, cells_ = w_.config.cells();
  const std::int64_t tokens_ = sizes_.tokens, token_rows_ = sizes_.n * tokens_, rows_ = sizes_.n * cells_;
};

}  // namespace

template <class Act>
void make_image_state(const Weights<Act>& w, const float* embedding, const float* mu, const float* sigma,
                      const ImageState& state, cudaStream_t stream) {
  MatmulArgs<float> m = product(w.image_feature, embedding, w.config.cells());
  m.a_stride = 1;
  m.a_step = w.config.cells();
  m.wide = state.combined;
  matmul(m, stream);
  copy(state.mu, mu, w.config.latent, stream);
  copy(state.sigma, sigma, w.config.latent, stream);
}

template <class Act>
void make_prompt_state(const Weights<Act>& w, const Sizes& sizes, const float* tokens, const float* dense,
                       const float* mu, const float* sigma, const PromptState<Act>& state,
                       const PrefixRoom& room, cudaStream_t stream) {
  const std::int64_t c = w.config.channels, fixed = w.config.output_tokens();
  MatmulArgs<float> m = product(w.prompt_feature, dense, sizes.dense_rows);
  m.a_stride = 1;
  m.a_step = sizes.dense_rows;
  m.wide = state.combined;
  matmul(m, stream);
  copy(state.mu, mu, w.config.latent, stream);
  copy(state.sigma, sigma, w.config.latent, stream);
  copy(state.point, w.output_tokens, fixed * c, stream);
  copy(state.point + fixed * c, tokens, sizes.t * c, stream);
  if (sizes.sampled) {
    MatmulArgs<float> own = product(w.prompt_feature, tokens, sizes.t);
    own.wide = state.token_combined;
    matmul(own, stream);
  } else {
    run_prefix(w, 1, sizes.tokens, state.point, room, state.queries, state.image_queries, stream);
  }
}

template <class Act>
void sample(const Weights<Act>& w, const Sizes& sizes, const ImageState& image,
            const PromptState<Act>& prompt, const float* eps, const asam_cuda_rng* rng,
            const Workspace<Act>& workspace, float* logits, float* scores, cudaStream_t stream) {
  if (sizes.n == 0) return;
  Pass<Act>(w, sizes, image, prompt, workspace, stream).run(eps, rng, logits, scores);
}

template void make_image_state(const Weights<float>&, const float*, const float*, const float*,
                               const ImageState&, cudaStream_t);
template void make_prompt_state(const Weights<float>&, const Sizes&, const float*, const float*, const float*,
                                const float*, const PromptState<float>&, const PrefixRoom&, cudaStream_t);
template void sample(const Weights<float>&, const Sizes&, const ImageState&, const PromptState<float>&,
                     const float*, const asam_cuda_rng*, const Workspace<float>&, float*, float*,
                     cudaStream_t);
template void make_image_state(const Weights<Bf16>&, const float*, const float*, const float*,
                               const ImageState&, cudaStream_t);
template void make_prompt_state(const Weights<Bf16>&, const Sizes&, const float*, const float*, const float*,
                                const float*, const PromptState<Bf16>&, const PrefixRoom&, cudaStream_t);
template void sample(const Weights<Bf16>&, const Sizes&, const ImageState&, const PromptState<Bf16>&,
                     const float*, const asam_cuda_rng*, const Workspace<Bf16>&, float*, float*,
                     cudaStream_t);
template void make_image_state(const Weights<Fp16>&, const float*, const float*, const float*,
                               const ImageState&, cudaStream_t);
template void make_prompt_state(const Weights<Fp16>&, const Sizes&, const float*, const float*, const float*,
                                const float*, const PromptState<Fp16>&, const PrefixRoom&, cudaStream_t);
template void sample(const Weights<Fp16>&, const Sizes&, const ImageState&, const PromptState<Fp16>&,
                     const float*, const asam_cuda_rng*, const Workspace<Fp16>&, float*, float*,
                     cudaStream_t);

}  // namespace asam::cuda
