#include "encoder/pass.h"

#include <algorithm>

namespace asam {
namespace {

constexpr float kNormEps = 1e-6f;  // of every norm in SAM's image encoder

class Pass {
 public:
  Pass(const TeamMember& member, const Kernels& kernels, const EncoderWeights& weights,
       EncoderWorkspace& workspace)
      : m_(member),
        k_(kernels),
        w_(weights),
        ws_(workspace),
        own_(workspace.scratch[static_cast<size_t>(member.index)]),
        cells_(weights.config.cells()),
        d_(weights.config.width) {}

  void run(const float* image, float* embedding) {
    float* x = ws_.x.data();
    cut_patches(image);
    m_.wait();
    w_.patch.run(m_, k_, ws_.patches, cells_, x, w_.position.data());
    m_.wait();
    for (size_t i = 0; i < w_.blocks.size(); ++i) {
      const EncoderBlock& block = w_.blocks[i];
      norm(block.norm1);
      m_.wait();
      block.qkv.run_grouped(m_, k_, ws_.normed, cells_, ws_.qkv.data());
      m_.wait();
      attend(block, ws_.parts[i]);
      m_.wait();
      complete(ws_.mixed);
      block.out.run(m_, k_, ws_.mixed, cells_, x, x);
      m_.wait();
      norm(block.norm2);
      m_.wait();
      block.mlp0.run_gelu(m_, k_, ws_.normed, cells_, ws_.hidden);
      m_.wait();
      complete(ws_.hidden);
      block.mlp1.run(m_, k_, ws_.hidden, cells_, x, x);
      m_.wait();
    }
    run_neck(m_, k_, w_.neck, x, ws_.neck, embedding);
  }

 private:
  // Each row of a patch is 16 pixels of one colour.
  void cut_patches(const float* image) {
    constexpr int64_t kPatch = EncoderConfig::kPatch;
    const int64_t side = w_.config.side, e = w_.config.grid();
    m_.share(cells_, [&](int64_t begin, int64_t end) {
      for (int64_t cell = begin; cell < end; ++cell) {
        const float* corner = image + cell / e * kPatch * side + cell % e * kPatch;
        float* to = own_.patch.data();
        for (int64_t colour = 0; colour < EncoderConfig::kColours; ++colour) {
          for (int64_t y = 0; y < kPatch; ++y, to += kPatch) {
            std::copy_n(corner + (colour * side + y) * side, kPatch, to);
          }
        }
        ws_.patches.store(cell, 0, own_.patch.data(), own_.patch.size());
      }
      ws_.patches.complete(k_, begin, end - begin);
    });
  }

  // normed = norm(x)
  void norm(const EncoderNorm& norm) {
    m_.share(cells_, [&](int64_t begin, int64_t end) {
      k_.layer_norm(ws_.x.data() + begin * d_, end - begin, d_, norm.weight.data(), norm.bias.data(),
                    kNormEps, ws_.normed.wide() + begin * d_);
      ws_.normed.complete(k_, begin, end - begin);
    });
  }

  // Rows that several members stored parts of.
  void complete(Rows& rows) {
    if (!rows.completes()) return;
    m_.share(cells_, [&](int64_t begin, int64_t end) { rows.complete(k_, begin, end - begin); });
    m_.wait();
  }

  // mixed = attention of every head and part of a window
  void attend(const EncoderBlock& block, const std::vector<WindowPart>& parts) {
    const int64_t count = static_cast<int64_t>(parts.size());
    // Head by head: the parts of one differ in size.
    m_.share(count * w_.config.heads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) attend(block, parts[static_cast<size_t>(i % count)], i / count);
    });
  }

  void attend(const EncoderBlock& block, const WindowPart& part, int64_t head) {
    const int64_t e = w_.config.grid(), dim = w_.config.head_dim(), heads = w_.config.heads;
    const int64_t stride = Projection::group_width(dim);
    const float* q = ws_.qkv.data() + head * cells_ * stride;
    const float* k = q + heads * cells_ * stride;
    const float* v = k + heads * cells_ * stride;
    const auto cell_of = [&](int64_t i) { return (part.y + i / part.wide) * e + part.x + i % part.wide; };
    if (part.wide == e) {  // its cells follow each other
      q += cell_of(part.first) * stride;
      k += part.y * e * stride;
      v += part.y * e * stride;
    } else {
      for (int64_t i = 0; i < part.queries; ++i) {
        std::copy_n(q + cell_of(part.first + i) * stride, stride, own_.q.data() + i * stride);
      }
      for (int64_t y = 0; y < part.high; ++y) {
        const int64_t from = cell_of(y * part.wide) * stride, to = y * part.wide * stride;
        std::copy_n(k + from, part.wide * stride, own_.k.data() + to);
        std::copy_n(v + from, part.wide * stride, own_.v.data() + to);
      }
      q = own_.q.data();
      k = own_.k.data();
      v = own_.v.data();
    }
    const RelativeAttentionShape shape{.dim = dim,
                                       .window = block.window,
                                       .high = part.high,
                                       .wide = part.wide,
                                       .first = part.first,
                                       .queries = part.queries,
                                       .q_stride = stride,
                                       .kv_stride = stride,
                                       .out_stride = dim};
    // For fewer keys rounding them costs what it saves.
    const bool words = w_.precision != Precision::float32 && part.high * part.wide > kRelativeKeys;
    (words ? k_.relative_attend_int16 : k_.relative_attend)(shape, block.positions(head, dim), q, k, v,
                                                            own_.mixed.data(), own_.attention.data());
    for (int64_t i = 0; i < part.queries; ++i) {
      ws_.mixed.store(cell_of(part.first + i), head * dim, own_.mixed.data() + i * dim, dim);
    }
  }

  const TeamMember& m_;
  const Kernels& k_;
  const EncoderWeights& w_;
  EncoderWorkspace& ws_;
  EncoderScratch& own_;
  const int64_t cells_, d_;
};

}  // namespace

void encode_image(const TeamMember& member, const Kernels& kernels, const EncoderWeights& weights,
                  const float* image, EncoderWorkspace& workspace, float* embedding) {
  Pass(member, kernels, weights, workspace).run(image, embedding);
}

}  // namespace asam
