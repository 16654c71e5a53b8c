#include <nanobind/stl/pair.h>

#include <cstdint>
#include <utility>

#include "bindings/array.h"
#include "bindings/gil.h"
#include "bindings/ops.h"
#include "core/errors.h"
#include "ops/look_up.h"
#include "ops/mask_pairs.h"
#include "ops/resize_masks.h"

namespace nb = nanobind;

namespace asam {
namespace {

using Logits = nb::ndarray<const float, nb::numpy, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using Counts = nb::ndarray<const std::int32_t, nb::numpy, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using Table = nb::ndarray<const float, nb::numpy, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Size = std::pair<std::int64_t, std::int64_t>;  // (height, width)

Tensor<const float, 3> logits_view(const Logits& array) {
  const auto extent = [&](std::size_t axis) { return static_cast<std::int64_t>(array.shape(axis)); };
  return {array.data(), {extent(0), extent(1), extent(2)}};
}

ResizeGeometry checked_geometry(const Tensor<const float, 3>& logits, std::int64_t side, Size input,
                                Size output) {
  require(logits.extent(1) == logits.extent(2), "expected square logits [n, m, m], came ",
          shape_text(logits.shape()));
  const ResizeGeometry geometry{logits.extent(1), side,         input.first,
                                input.second,     output.first, output.second};
  geometry.check();
  return geometry;
}

auto masks(Logits array, std::int64_t side, Size input, Size output, float threshold) {
  const Tensor<const float, 3> logits = logits_view(array);
  const ResizeGeometry geometry = checked_geometry(logits, side, input, output);
  auto out = new_array<bool, 3>({logits.extent(0), output.first, output.second});
  {
    const GilRelease release;
    static_assert(sizeof(bool) == 1);
    masks_from_logits(logits.data(), logits.extent(0), geometry, threshold,
                      reinterpret_cast<std::uint8_t*>(out.data()));
  }
  return out;
}

auto packed(Logits array, std::int64_t side, Size input, Size output, float threshold) {
  const Tensor<const float, 3> logits = logits_view(array);
  const ResizeGeometry geometry = checked_geometry(logits, side, input, output);
  auto out = new_array<std::uint64_t, 2>({logits.extent(0), packed_words(output.first * output.second)});
  {
    const GilRelease release;
    packed_masks_from_logits(logits.data(), logits.extent(0), geometry, threshold, out.data());
  }
  return out;
}

auto statistics(Logits array, std::int64_t side, Size input, Size output, float threshold) {
  const Tensor<const float, 3> logits = logits_view(array);
  const ResizeGeometry geometry = checked_geometry(logits, side, input, output);
  auto counts = new_array<std::int32_t, 2>({output.first, output.second});
  auto areas = new_array<std::int64_t, 1>({logits.extent(0)});
  {
    const GilRelease release;
    mask_statistics(logits.data(), logits.extent(0), geometry, threshold, counts.data(), areas.data());
  }
  return std::pair(std::move(counts), std::move(areas));
}

auto resized(Logits array, std::int64_t side, Size input, Size output) {
  const Tensor<const float, 3> logits = logits_view(array);
  const ResizeGeometry geometry = checked_geometry(logits, side, input, output);
  auto out = new_array<float, 3>({logits.extent(0), output.first, output.second});
  {
    const GilRelease release;
    resize_logits(logits.data(), logits.extent(0), geometry, out.data());
  }
  return out;
}

auto looked_up(Counts counts, Table table) {
  const auto h = static_cast<std::int64_t>(counts.shape(0)), w = static_cast<std::int64_t>(counts.shape(1));
  auto out = new_array<float, 2>({h, w});
  {
    const GilRelease release;
    look_up(counts.data(), h * w, table.data(), static_cast<std::int64_t>(table.shape(0)), out.data());
  }
  return out;
}

}  // namespace

void bind_resize(nb::module_& module) {
  module.def(
      "masks_from_logits", &masks, nb::arg("logits").noconvert(), nb::arg("side"), nb::arg("input"),
      nb::arg("output"), nb::arg("threshold") = 0.0f,
      "SAM's postprocess_masks with its threshold: logits float32 [n, m, m] of model side S, the image\n"
      "filling input = (h, w) of S x S, to output = (H, W): bool [n, H, W].");
  module.def("packed_masks_from_logits", &packed, nb::arg("logits").noconvert(), nb::arg("side"),
             nb::arg("input"), nb::arg("output"), nb::arg("threshold") = 0.0f,
             "pack_masks of the masks of masks_from_logits, without storing these: uint64 [n, words].");
  module.def(
      "mask_statistics", &statistics, nb::arg("logits").noconvert(), nb::arg("side"), nb::arg("input"),
      nb::arg("output"), nb::arg("threshold") = 0.0f,
      "Of the masks of masks_from_logits, without storing them: counts int32 [H, W], how many hold each\n"
      "pixel, and areas int64 [n], pixels in each mask.");
  module.def("look_up", &looked_up, nb::arg("counts").noconvert(), nb::arg("table").noconvert(),
             "table[counts]: counts int32 [H, W], table float32 [k] -> float32 [H, W].\n\n"
             "Raises ValueError where a count is not 0 to k - 1.");
  module.def("resize_logits", &resized, nb::arg("logits").noconvert(), nb::arg("side"), nb::arg("input"),
             nb::arg("output"),
             "SAM's postprocess_masks without the threshold: float32 [n, m, m] to float32 [n, H, W].");
}

}  // namespace asam
