#include <nanobind/stl/pair.h>

#include <cstdint>
#include <utility>

#include "bindings/array.h"
#include "bindings/gil.h"
#include "bindings/ops.h"
#include "core/errors.h"
#include "ops/resize_image.h"

namespace nb = nanobind;
using namespace nb::literals;

namespace asam {
namespace {

using Pixels =
    nb::ndarray<const std::uint8_t, nb::numpy, nb::shape<-1, -1, 3>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<const float, nb::numpy, nb::shape<3, 256>, nb::c_contig, nb::device::cpu>;

ImageSize size_of(const Pixels& pixels) {
  return {static_cast<std::int64_t>(pixels.shape(0)), static_cast<std::int64_t>(pixels.shape(1))};
}

auto resized(Pixels image, std::pair<std::int64_t, std::int64_t> size) {
  auto out = new_array<std::uint8_t, 3>({size.first, size.second, kColours});
  {
    const GilRelease release;
    resize_image(image.data(), size_of(image), {size.first, size.second}, out.data());
  }
  return out;
}

auto normalised(Pixels pixels, std::int64_t side, Table table) {
  require(side >= 1, "side: expected at least 1, got ", side);
  auto out = new_array<float, 3>({kColours, side, side});
  {
    const GilRelease release;
    model_input(pixels.data(), size_of(pixels), side, table.data(), out.data());
  }
  return out;
}

}  // namespace

void bind_image(nb::module_& module) {
  module.def("resize_image", &resized, "image"_a.noconvert(), "size"_a,
             "Pillow's bilinear filter: uint8 [H, W, 3] to uint8 [h, w, 3], size = (h, w), bit for bit.");
  module.def("model_input", &normalised, "pixels"_a.noconvert(), "side"_a, "table"_a.noconvert(),
             "uint8 [h, w, 3] to float32 [3, side, side]: each value what table [3, 256] has for it, zeros "
             "beyond the picture.");
}

}  // namespace asam
