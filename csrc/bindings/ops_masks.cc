#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <tuple>

#include "bindings/array.h"
#include "bindings/gil.h"
#include "bindings/ops.h"
#include "core/errors.h"
#include "ops/mask_pairs.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace asam {
namespace {

using Masks = nb::ndarray<const bool, nb::shape<-1, -1, -1>, nb::c_contig, nb::device::cpu>;
using MaskBatch = nb::ndarray<const bool, nb::shape<-1, -1, -1, -1>, nb::c_contig, nb::device::cpu>;
using Packed = nb::ndarray<const std::uint64_t, nb::shape<-1, -1>, nb::c_contig, nb::device::cpu>;

const std::uint8_t* bytes_of(const bool* mask) {
  return reinterpret_cast<const std::uint8_t*>(mask);
}

auto pack(const Masks& masks, const std::string& kernel_name) {
  const MaskPairKernel& kernel = mask_pair_kernel(kernel_name);
  const auto n = static_cast<std::int64_t>(masks.shape(0));
  const auto pixels = static_cast<std::int64_t>(masks.shape(1) * masks.shape(2));
  auto packed = new_array<std::uint64_t, 2>({n, packed_words(pixels)});
  {
    const GilRelease release;
    pack_masks(kernel, bytes_of(masks.data()), n, pixels, packed.data());
  }
  return packed;
}

auto intersections(const Packed& a, const Packed& b, const std::string& kernel_name) {
  const MaskPairKernel& kernel = mask_pair_kernel(kernel_name);
  require(a.shape(1) == b.shape(1), "b: expected ", a.shape(1), " words a mask as in a, got ", b.shape(1));
  const auto n = static_cast<std::int64_t>(a.shape(0)), m = static_cast<std::int64_t>(b.shape(0));
  auto shared = new_array<std::int32_t, 2>({n, m});
  {
    const GilRelease release;
    pairwise_intersections(kernel, a.data(), n, b.data(), m, static_cast<std::int64_t>(a.shape(1)),
                           shared.data());
  }
  return shared;
}

auto counts(const MaskBatch& pred, const MaskBatch& raters, const std::string& kernel_name) {
  const MaskPairKernel& kernel = mask_pair_kernel(kernel_name);
  for (const std::size_t axis : {0, 2, 3}) {
    require(pred.shape(axis) == raters.shape(axis), "raters: expected length ", pred.shape(axis), " of axis ",
            axis, " as in pred, got ", raters.shape(axis));
  }
  const PairCountsShape shape{
      static_cast<std::int64_t>(pred.shape(0)), static_cast<std::int64_t>(pred.shape(1)),
      static_cast<std::int64_t>(raters.shape(1)), static_cast<std::int64_t>(pred.shape(2) * pred.shape(3))};
  auto cross = new_array<std::int32_t, 3>({shape.images, shape.pred, shape.raters});
  auto within_pred = new_array<std::int32_t, 3>({shape.images, shape.pred, shape.pred});
  auto within_raters = new_array<std::int32_t, 3>({shape.images, shape.raters, shape.raters});
  {
    const GilRelease release;
    pair_counts(kernel, shape, bytes_of(pred.data()), bytes_of(raters.data()), cross.data(),
                within_pred.data(), within_raters.data());
  }
  return std::make_tuple(std::move(cross), std::move(within_pred), std::move(within_raters));
}

}  // namespace

void bind_masks(nb::module_& module) {
  module.def(
      "mask_kernels",
      [] {
        std::vector<std::string> names;
        for (const MaskPairKernel* kernel : mask_pair_kernels()) names.emplace_back(kernel->name);
        return names;
      },
      "The implementations of the mask operations that this processor runs: the reference first, the best "
      "last.");
  module.def(
      "mask_kernel", [] { return std::string(mask_pair_kernel().name); },
      "The implementation that \"auto\" stands for: the best one within isa().");
  module.def("pack_masks", &pack, "masks"_a.noconvert(), "kernel"_a = "auto",
             "Masks as bits, uint64 [n, ceil(H W / 64)]: pixel 64 w + b, row by row, is bit b of word w.\n\n"
             "Args:\n    masks: bool [n, H, W].\n    kernel: one of mask_kernels(), or \"auto\".");
  module.def("pairwise_intersections", &intersections, "a"_a.noconvert(), "b"_a.noconvert(),
             "kernel"_a = "auto",
             "Pixels that two masks share, of all pairs: int32 [n, m], popcount(a_i & b_j).\n\n"
             "Args:\n    a: uint64 [n, words] of pack_masks.\n    b: uint64 [m, words].\n"
             "    kernel: one of mask_kernels(), or \"auto\".\n\n"
             "Raises ValueError where the masks differ in length.");
  module.def("pair_counts", &counts, "pred"_a.noconvert(), "raters"_a.noconvert(), "kernel"_a = "auto",
             "Pixels that two masks of the same image share, of all pairs of B images.\n\n"
             "Args:\n    pred: bool [B, n, H, W].\n    raters: bool [B, m, H, W].\n"
             "    kernel: one of mask_kernels(), or \"auto\".\n\n"
             "Returns int32 cross [B, n, m], within_pred [B, n, n], within_raters [B, m, m]; the diagonals "
             "of the last\n"
             "two are areas. Raises ValueError where the images differ.");
}

}  // namespace asam
