#include "encoder/tiny_pass.h"

#include <algorithm>
#include <utility>

namespace asam {
namespace {

constexpr float kNormEps = 1e-5f;  // of the norms in the blocks

class Pass {
 public:
  Pass(const TeamMember& member, const Kernels& kernels, const TinyWeights& weights, TinyWorkspace& workspace)
      : m_(member),
        k_(kernels),
        w_(weights),
        ws_(workspace),
        own_(workspace.scratch[static_cast<size_t>(member.index)]),
        x_(workspace.x.data()),
        y_(workspace.y.data()) {}

  void run(const float* image, float* embedding) {
    if (w_.config.first_cell() > 1) {
      cut_patches(image);
    } else {
      take_pixels(image);
    }
    m_.wait();
    for (size_t i = 0; i < w_.stages.size(); ++i) {
      const TinyStage& stage = w_.stages[i];
      for (const TinyBottleneck& convolution : stage.convolutions) {
        const int64_t grid = w_.config.grid(i > 0 ? i - 1 : 0);
        bottleneck(convolution, *own_.convolutions[i], grid);
        step();
      }
      for (const TinyBlock& block : stage.blocks) {
        transform(block, stage, w_.config.stages[i], *own_.blocks[i], w_.config.grid(i));
        step();
      }
    }
    run_neck(m_, k_, w_.neck, x_, ws_.neck, embedding);
  }

 private:
  // What was written is what is read from here on.
  void step() {
    m_.wait();
    std::swap(x_, y_);
  }

  void cut_patches(const float* image) {
    const int64_t grid = w_.config.grid(0), half = 2 * grid, inner = w_.patch0.out();
    float* ring = own_.patches.data();
    m_.share(grid, [&](int64_t begin, int64_t end) {
      int64_t next = std::max<int64_t>(0, 2 * begin - 1);
      for (int64_t row = begin; row < end; ++row) {
        for (; next < 2 * row + 2; ++next) {
          gather_pixels(image, next);
          own_.pixels.complete(k_, 0, half);
          w_.patch0.run_alone(k_, own_.pixels, 0, half, {.gelu = true}, ring + next % 3 * half * inner);
        }
        gather_patches(row, half, inner);
        own_.neighbours.complete(k_, 0, grid);
        w_.patch1.run_alone(k_, own_.neighbours, 0, grid, {}, x_ + row * grid * w_.patch1.out());
      }
    });
  }

  // Patches of one pixel, whose colours are all that the first product sees.
  void take_pixels(const float* image) {
    constexpr int64_t colours = TinyConfig::kColours;
    const int64_t side = w_.config.side;
    m_.share(side, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        float* to = own_.pixels.wide();
        for (int64_t colour = 0; colour < colours; ++colour) {
          const float* from = image + (colour * side + row) * side;
          for (int64_t i = 0; i < side; ++i) to[i * colours + colour] = from[i];
        }
        own_.pixels.complete(k_, 0, side);
        w_.patch0.run_alone(k_, own_.pixels, 0, side, {.gelu = true}, own_.neighbours.wide());
        own_.neighbours.complete(k_, 0, side);
        w_.patch1.run_alone(k_, own_.neighbours, 0, side, {}, x_ + row * side * w_.patch1.out());
      }
    });
  }

  // The 3 x 3 pixels of each colour around every second pixel of every second row: row `row` of them.
  void gather_pixels(const float* image, int64_t row) {
    const int64_t side = w_.config.side, width = 9 * TinyConfig::kColours;
    float* to = own_.pixels.wide();
    for (int64_t colour = 0; colour < TinyConfig::kColours; ++colour) {
      for (int64_t t = 0; t < 3; ++t, to += 3) {
        const int64_t y = 2 * row + t - 1;
        const float* from = y < 0 ? nullptr : image + (colour * side + y) * side;  // below it never ends
        for (int64_t i = 0; i < side / 2; ++i) {
          float* taps = to + i * width;
          taps[0] = from && i > 0 ? from[2 * i - 1] : 0.0f;
          taps[1] = from ? from[2 * i] : 0.0f;
          taps[2] = from ? from[2 * i + 1] : 0.0f;
        }
      }
    }
  }

  // The same of what is made of them, by row, column and channel.
  void gather_patches(int64_t row, int64_t half, int64_t inner) {
    for (int64_t t = 0; t < 3; ++t) {
      const int64_t y = 2 * row + t - 1;
      const float* from = y < 0 ? nullptr : own_.patches.data() + y % 3 * half * inner;
      for (int64_t i = 0; i < half / 2; ++i) {
        float* taps = own_.neighbours.wide() + (i * 9 + 3 * t) * inner;
        const int64_t first = i > 0 ? 0 : 1;
        if (!from || first > 0) std::fill_n(taps, from ? inner : 3 * inner, 0.0f);
        if (from) std::copy_n(from + (2 * i - 1 + first) * inner, (3 - first) * inner, taps + first * inner);
      }
    }
  }

  // y = the bottleneck of x, grid x grid cells.
  void bottleneck(const TinyBottleneck& b, BottleneckScratch& own, int64_t grid) {
    const int64_t in = b.expand.in(), inner = b.expand.out(), out = b.project.out();
    const DepthwiseShape shape{.wide = grid, .channels = inner, .stride = b.stride};
    const int64_t wide = shape.out_wide();
    float* ring = own.ring.data();
    m_.share(wide, [&](int64_t begin, int64_t end) {
      int64_t next = std::max<int64_t>(0, b.stride * begin - 1);
      for (int64_t row = begin; row < end; ++row) {
        const int64_t at = b.stride * row;
        for (; next < std::min(at + 2, grid); ++next) {
          own.row.take(k_, x_ + next * grid * in, grid);
          b.expand.run_alone(k_, own.row, 0, grid, {.gelu = true}, ring + next % 3 * grid * inner);
        }
        const float* rows[3];
        for (int64_t t = 0; t < 3; ++t) {
          const int64_t y = at + t - 1;
          rows[t] = y < 0 || y >= grid ? nullptr : ring + y % 3 * grid * inner;
        }
        float* mixed = own.mixed.wide();
        k_.depthwise(shape, rows, b.depthwise.weight.data(), b.depthwise.bias.data(), mixed);
        k_.gelu(mixed, wide * inner);
        own.mixed.complete(k_, 0, wide);
        const float* residual = b.residual ? x_ + row * wide * out : nullptr;
        b.project.run_alone(k_, own.mixed, 0, wide, {.residual = residual, .gelu = b.residual},
                            y_ + row * wide * out);
      }
    });
  }

  // y = the transformer block of x, which it changes.
  void transform(const TinyBlock& block, const TinyStage& stage, const TinyConfig::Stage& sizes,
                 BlockScratch& own, int64_t grid) {
    const int64_t cells = grid * grid, c = sizes.width;
    for_rows(cells, own.rows, [&](int64_t first, int64_t count) {
      norm(block.norm1, x_ + first * c, count, c, own.normed);
      const int64_t width = Projection::group_width(sizes.head_dim());
      block.qkv.run_grouped_alone(k_, own.normed, 0, count, ws_.qkv.data() + first * width, cells * width);
    });
    m_.wait();
    const int64_t windows = static_cast<int64_t>(stage.windows.size());
    // Head by head: windows differ in size, and a head's biases stay in the cache.
    m_.share(windows * sizes.heads, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        attend(block, stage, static_cast<size_t>(i % windows), i / windows, sizes, own, grid);
      }
    });
    m_.wait();
    for_rows(cells, own.rows, [&](int64_t first, int64_t count) {
      own.normed.take(k_, ws_.mixed.data() + first * c, count);
      block.out.run_alone(k_, own.normed, 0, count, {.residual = x_ + first * c}, x_ + first * c);
    });
    m_.wait();
    m_.share(grid, [&](int64_t begin, int64_t end) {
      const int64_t together = own.rows / grid;
      for (int64_t row = begin; row < end; row += together) {
        mix_channels(block, own, row, std::min(together, end - row), grid, c);
      }
    });
  }

  // y = x' + mlp(norm(x')), x' = depthwise(x), for some rows of the grid.
  void mix_channels(const TinyBlock& block, BlockScratch& own, int64_t first, int64_t count, int64_t grid,
                    int64_t c) {
    const DepthwiseShape shape{.wide = grid, .channels = c, .stride = 1};
    float* local = own.local.data();
    for (int64_t row = first; row < first + count; ++row) {
      const float* at = x_ + row * grid * c;
      const float* rows[] = {row > 0 ? at - grid * c : nullptr, at, row + 1 < grid ? at + grid * c : nullptr};
      k_.depthwise(shape, rows, block.depthwise.weight.data(), block.depthwise.bias.data(),
                   local + (row - first) * grid * c);
    }
    const int64_t cells = count * grid;
    norm(block.norm2, local, cells, c, own.normed);
    block.mlp0.run_alone(k_, own.normed, 0, cells, {.gelu = true}, own.hidden.wide());
    own.hidden.complete(k_, 0, cells);
    block.mlp1.run_alone(k_, own.hidden, 0, cells, {.residual = local}, y_ + first * grid * c);
  }

  void norm(const EncoderNorm& norm, const float* x, int64_t rows, int64_t c, Rows& to) {
    k_.layer_norm(x, rows, c, norm.weight.data(), norm.bias.data(), kNormEps, to.wide());
    to.complete(k_, 0, rows);
  }

  // Calls body(first, count) for blocks of this member's rows, at most `most` each.
  template <typename Body>
  void for_rows(int64_t rows, int64_t most, Body&& body) {
    m_.share(rows, [&](int64_t begin, int64_t end) {
      for (int64_t first = begin; first < end; first += most) body(first, std::min(most, end - first));
    });
  }

  void attend(const TinyBlock& block, const TinyStage& stage, size_t index, int64_t head,
              const TinyConfig::Stage& sizes, BlockScratch& own, int64_t grid) {
    const WindowPart& window = stage.windows[index];
    const TinyWindowBias& bias = block.biases[stage.size_of[index]];
    const int64_t dim = sizes.head_dim(), width = Projection::group_width(dim), cells = grid * grid;
    const int64_t real = window.high * window.wide;
    const float* q = ws_.qkv.data() + head * cells * width;
    for (int64_t y = 0; y < window.high; ++y) {
      const int64_t from = ((window.y + y) * grid + window.x) * width, to = y * window.wide * width;
      const int64_t of_part = sizes.heads * cells * width;
      std::copy_n(q + from, window.wide * width, own.q.data() + to);
      std::copy_n(q + of_part + from, window.wide * width, own.k.data() + to);
      std::copy_n(q + 2 * of_part + from, window.wide * width, own.v.data() + to);
    }
    if (bias.keys > real) {
      const float* padded = block.padded.data() + head * dim;
      std::copy_n(padded, dim, own.k.data() + real * width);
      std::copy_n(padded + sizes.heads * dim, dim, own.v.data() + real * width);
    }
    const AttentionShape shape{.queries = real,
                               .keys = bias.keys,
                               .heads = 1,
                               .dim = dim,
                               .q_stride = width,
                               .k_stride = width,
                               .v_stride = width,
                               .out_stride = dim};
    k_.attend(shape, own.q.data(), own.k.data(), own.v.data(), bias.of(head), own.mixed.data(),
              own.scores.data());
    for (int64_t i = 0; i < real; ++i) {
      const int64_t cell = (window.y + i / window.wide) * grid + window.x + i % window.wide;
      std::copy_n(own.mixed.data() + i * dim, dim, ws_.mixed.data() + cell * sizes.width + head * dim);
    }
  }

  const TeamMember& m_;
  const Kernels& k_;
  const TinyWeights& w_;
  TinyWorkspace& ws_;
  TinyScratch& own_;
  float *x_, *y_;
};

}  // namespace

void encode_image(const TeamMember& member, const Kernels& kernels, const TinyWeights& weights,
                  const float* image, TinyWorkspace& workspace, float* embedding) {
  Pass(member, kernels, weights, workspace).run(image, embedding);
}

}  // namespace asam
