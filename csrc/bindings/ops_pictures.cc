// What pictures are drawn with.
#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/array.h"
#include "bindings/gil.h"
#include "bindings/ops.h"
#include "core/errors.h"
#include "ops/lay_over.h"
#include "ops/mask_pairs.h"
#include "ops/outlines.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace asam {
namespace {

using PackedMasks = nb::ndarray<const std::uint64_t, nb::shape<-1, -1>, nb::c_contig, nb::device::cpu>;
using Sides = std::pair<std::int64_t, std::int64_t>;                                // (height, width)
using Region = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;  // x0, y0, x1, y1
using Groups = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using EdgeTable = nb::ndarray<const std::uint8_t, nb::shape<kEdgeLevels>, nb::c_contig, nb::device::cpu>;

auto outlines(const PackedMasks& packed, const Sides& size, const Groups& group, std::int64_t groups,
              const Region& region, const EdgeTable& table) {
  const auto [x0, y0, x1, y1] = region;
  const OutlineShape shape{
      static_cast<std::int64_t>(packed.shape(0)), size.first, size.second, groups, y0, y1, x0, x1};
  shape.check();
  const auto words = static_cast<std::int64_t>(packed.shape(1));
  require(words == packed_words(shape.h * shape.w), "packed: expected ", packed_words(shape.h * shape.w),
          " words a mask of ", shape.h, " x ", shape.w, " pixels, got ", words);
  require(group.shape(0) == packed.shape(0), "group: expected one number a mask, ", shape.n, ", got ",
          group.shape(0));
  auto layers = new_array<std::uint8_t, 3>({groups, y1 - y0, x1 - x0});
  {
    const GilRelease release;
    outline_layers(shape, packed.data(), group.data(), table.data(), layers.data());
  }
  return layers;
}

using Alpha = nb::ndarray<const std::uint8_t, nb::shape<-1, -1>, nb::c_contig, nb::device::cpu>;
using Colours = nb::ndarray<const std::uint8_t, nb::shape<-1, 3>, nb::c_contig, nb::device::cpu>;
using Picture = nb::ndarray<std::uint8_t, nb::shape<-1, -1, 3>, nb::device::cpu>;

void laid(const Picture& picture, const std::vector<Alpha>& alphas, const Colours& colours,
          std::int64_t step) {
  const auto extent = [](std::size_t n) { return static_cast<std::int64_t>(n); };
  require(!alphas.empty(), "alpha: expected at least one layer, got none");
  const LayerShape shape{extent(alphas.size()),           extent(alphas.front().shape(0)),
                         extent(alphas.front().shape(1)), step,
                         extent(picture.shape(0)),        extent(picture.shape(1))};
  require(extent(colours.shape(0)) == shape.count, "colours: expected one a layer, ", shape.count, ", got ",
          colours.shape(0));
  require(picture.size() == 0 || (picture.stride(1) == 3 && picture.stride(2) == 1),
          "picture: expected pixels side by side in memory, got steps of ", picture.stride(1), " and ",
          picture.stride(2), " bytes");
  std::vector<const std::uint8_t*> data;
  for (const Alpha& alpha : alphas) {
    require(extent(alpha.shape(0)) == shape.h && extent(alpha.shape(1)) == shape.w,
            "alpha: expected layers of one size, ", shape.h, " x ", shape.w, ", got ", alpha.shape(0), " x ",
            alpha.shape(1));
    data.push_back(alpha.data());
  }
  const GilRelease release;
  lay_over(shape, data.data(), colours.data(), picture.data(), picture.stride(0));
}

}  // namespace

void bind_pictures(nb::module_& module) {
  module.def(
      "outline_layers", &outlines, "packed"_a.noconvert(), "size"_a, "group"_a.noconvert(), "groups"_a,
      "region"_a, "table"_a.noconvert(),
      "Outlines of groups of masks, drawn softly: uint8 [groups, y1 - y0, x1 - x0].\n\n"
      "An edge lies where a mask of the group changes to the pixel right of it or below it; a pixel gets\n"
      "what table has for the edges around it, weighed (1, 2, 1) in x and in y.\n\n"
      "Args:\n    packed: uint64 [n, words] of pack_masks.\n    size: (H, W) of the masks.\n"
      "    group: int64 [n], the mask's group, or -1.\n    region: (x0, y0, x1, y1) of what is drawn.\n"
      "    table: uint8 [17].");
  module.def(
      "lay_over", &laid, "picture"_a.noconvert(), "alpha"_a.noconvert(), "colours"_a.noconvert(),
      "step"_a = 1,
      "Lay colours over a picture uint8 [H, W, 3] or a part of one, in place, the first one lowest.\n\n"
      "Args:\n    alpha: k of uint8 [h, w], opacity; each pixel lies over step x step of the picture's.\n"
      "    colours: uint8 [k, 3].");
}

}  // namespace asam
