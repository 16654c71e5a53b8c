#include "encoder/projection.h"

#include <algorithm>

namespace asam {
namespace {

constexpr int64_t kPanel = PackedMatrix::kPanel;
static_assert(kPanel == PackedInt16Matrix::kPanel && kPanel == PackedInt8Matrix::kPanel);

constexpr int64_t kRowBlock = 96;  // rows that pass a panel together: in the second-level cache with it

}  // namespace

Rows::Rows(int64_t count, int64_t width, Precision precision)
    : width_(width), precision_(precision), wide_(count * width) {
  if (precision == Precision::int16) words_ = Int16Rows(count, width);
  if (precision == Precision::int8) bytes_ = Int8Rows(count, width);
}

void Rows::take(const Kernels& kernels, const float* x, int64_t count) {
  std::copy_n(x, count * width_, wide());
  complete(kernels, 0, count);
}

void Rows::complete(const Kernels& kernels, int64_t first, int64_t count) {
  const float* x = wide() + first * width_;
  if (precision_ == Precision::int16) words_.put(kernels.quantise_int16, first, x, width_, count, width_);
  if (precision_ == Precision::int8) bytes_.put(kernels.quantise_int8, first, x, width_, count, width_);
}

Projection::Projection(int64_t in, int64_t out, const float* weight, const float* bias, Precision precision)
    : in_(in), out_(out), precision_(precision), bias_(out) {
  if (bias) std::copy_n(bias, out, bias_.data());
  if (precision == Precision::int16) {
    words_ = PackedInt16Matrix(in, {{weight, out}});
  } else if (precision == Precision::int8) {
    bytes_ = PackedInt8Matrix(in, {{weight, out}});
  } else {
    wide_ = PackedMatrix(in, {{weight, out}});
  }
}

Projection::Projection(int64_t in, int64_t groups, int64_t group, const float* weight, const float* bias,
                       Precision precision) {
  const int64_t width = group_width(group), out = groups * width;
  Buffer columns(in * out), biases(out);
  for (int64_t g = 0; g < groups; ++g) {
    for (int64_t i = 0; i < in; ++i) {
      std::copy_n(weight + (i * groups + g) * group, group, columns.data() + i * out + g * width);
    }
    std::copy_n(bias + g * group, group, biases.data() + g * width);
  }
  *this = Projection(in, out, columns.data(), biases.data(), precision);
  group_ = width;
}

int64_t Projection::group_width(int64_t group) {
  return (group + kPanel - 1) / kPanel * kPanel;
}

template <typename Body>
void Projection::share(const TeamMember& member, int64_t rows, int64_t step, Body&& body) const {
  const int64_t blocks = (rows + kRowBlock - 1) / kRowBlock, units = (out_ + step - 1) / step;
  member.share(blocks * units, [&](int64_t begin, int64_t end) {
    while (begin < end) {
      const int64_t block = begin / units, unit = begin % units, count = std::min(units - unit, end - begin);
      const int64_t row = rows * block / blocks, first = unit * step;
      body(row, rows * (block + 1) / blocks - row, first, std::min(count * step, out_ - first));
      begin += count;
    }
  });
}

void Projection::multiply(const Kernels& kernels, const Rows& x, int64_t row, int64_t rows, int64_t first,
                          int64_t columns, Epilogue epilogue, float* to, int64_t stride) const {
  epilogue.bias = bias_.data() + first;
  if (precision_ == Precision::int16) {
    kernels.matmul_int16(x.words(row), rows, words_.columns(first, columns), epilogue, to, stride);
  } else if (precision_ == Precision::int8) {
    kernels.matmul_int8(x.bytes(row), rows, bytes_.columns(first, columns), epilogue, to, stride);
  } else {
    kernels.matmul(x.wide() + row * in_, in_, rows, wide_.columns(first, columns), epilogue, to, stride);
  }
}

void Projection::run(const TeamMember& member, const Kernels& kernels, const Rows& x, int64_t rows, float* to,
                     const float* residual) const {
  share(member, rows, kPanel, [&](int64_t row, int64_t count, int64_t first, int64_t columns) {
    const int64_t at = row * out_ + first;
    multiply(kernels, x, row, count, first, columns, {.residual = residual ? residual + at : nullptr},
             to + at, out_);
  });
}

void Projection::run_grouped(const TeamMember& member, const Kernels& kernels, const Rows& x, int64_t rows,
                             float* to) const {
  share(member, rows, group_, [&](int64_t row, int64_t count, int64_t first, int64_t columns) {
    for (int64_t column = first; column < first + columns; column += group_) {
      multiply(kernels, x, row, count, column, group_, {}, to + column * rows + row * group_, group_);
    }
  });
}

void Projection::run_gelu(const TeamMember& member, const Kernels& kernels, const Rows& x, int64_t rows,
                          Rows& to) const {
  share(member, rows, kPanel, [&](int64_t row, int64_t count, int64_t first, int64_t columns) {
    multiply(kernels, x, row, count, first, columns, {.gelu = true}, to.wide() + row * out_ + first, out_);
  });
}

void Projection::run_alone(const Kernels& kernels, const Rows& x, int64_t row, int64_t rows,
                           const Epilogue& epilogue, float* to) const {
  multiply(kernels, x, row, rows, 0, out_, epilogue, to, out_);
}

void Projection::run_grouped_alone(const Kernels& kernels, const Rows& x, int64_t row, int64_t rows,
                                   float* to, int64_t group_stride) const {
  for (int64_t column = 0; column < out_; column += group_, to += group_stride) {
    multiply(kernels, x, row, rows, column, group_, {}, to, group_);
  }
}

}  // namespace asam
