"""Which slice of an image layer a viewer shows, and the way between its pixels and the world."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import Dims
from napari.layers import Image, Layer

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class Plane:
    """A slice of an image layer.

    Attributes:
        index: of each axis of the layer, colours apart; 0 of the two that are seen.
        rows, columns: the axes that are seen, downwards and to the right.
    """

    index: tuple[int, ...]
    rows: int
    columns: int

    @property
    def hidden(self) -> list[int]:
        """Axes that are not seen."""
        return [axis for axis in range(len(self.index)) if axis not in (self.rows, self.columns)]

    def where(self) -> tuple[int | slice, ...]:
        """Of an array as the layer has it: the part that is seen, in the layer's order of axes."""
        return tuple(
            slice(None) if axis in (self.rows, self.columns) else i for axis, i in enumerate(self.index)
        )

    def taken(self, values: Any) -> Array:
        """The slice of a layer's values, [H, W] or [H, W, colours]; of a lazy array this part alone is read."""
        found = np.asarray(values[self.where()])
        return found.swapaxes(0, 1) if self.rows > self.columns else found

    def placed(self, values: Array) -> Array:
        """[H, W] with all axes of the layer, those that are not seen of length 1."""
        seen = values.T if self.rows > self.columns else values
        return np.expand_dims(seen, tuple(self.hidden))

    def indices(self, mask: npt.NDArray[np.bool_]) -> tuple[Array, ...]:
        """Where a mask [H, W] holds, as indices into the layer's values."""
        down, right = np.nonzero(mask)
        found = [np.full(len(down), i) for i in self.index]
        found[self.rows], found[self.columns] = down, right
        return tuple(found)

    def pixels(self, image: Layer, layer: Layer, vertices: Any, point: Any) -> tuple[Array, Array]:
        """Places of another layer in pixels of this slice.

        Args:
            image: the layer that this is a slice of.
            layer: that the vertices [k, d] belong to; of fewer axes than the image it lies on every slice.
            point: of the viewer's world that is shown.

        Returns:
            float64 [k, 2], x before y, whole numbers at the centres of pixels; bool [k], which lie on this slice.
        """
        found = np.empty((len(vertices), len(self.index)))
        for row, vertex in zip(found, vertices, strict=True):
            world = layer.data_to_world(vertex)
            row[:] = image.world_to_data((*point[: len(point) - len(world)], *world))
        hidden = self.hidden
        on = (np.abs(found[:, hidden] - np.take(self.index, hidden)) <= 0.5).all(axis=1)
        return found[:, [self.columns, self.rows]], on


def shown_plane(image: Image, dims: Dims) -> Plane:
    """The slice of an image that is shown.

    Raises:
        ValueError: the view is three-dimensional, or the image is not seen in it as a plane.
    """
    if dims.ndisplay != 2:
        raise ValueError(
            "expected a view of slices, came one in three dimensions: switch back below the layer list"
        )
    extra = dims.ndim - image.ndim
    rows, columns = (axis - extra for axis in dims.displayed)
    if min(rows, columns) < 0:
        raise ValueError(
            f"expected a view of the planes of '{image.name}', came one across: roll the axes back"
        )
    sizes = values_of(image).shape[: image.ndim]
    index = [round(float(place)) for place in image.world_to_data(dims.point)]
    index[rows] = index[columns] = 0
    for axis, (i, size) in enumerate(zip(index, sizes, strict=True)):
        if not 0 <= i < size:
            raise ValueError(
                f"expected a slice of '{image.name}' from 0 to {size - 1}, came {i} of axis {axis}"
            )
    return Plane(tuple(index), rows, columns)


def values_of(image: Image) -> Any:
    """An image layer's array, of a pyramid the finest."""
    return image.data[0] if image.multiscale else image.data


def space_of(image: Layer, plane: Plane | None = None) -> dict[str, Any]:
    """The keywords that put a new layer where an image lies, or where a slice of it does."""
    index = (0,) * image.ndim if plane is None else plane.index
    return {
        "scale": image.scale,
        "translate": image.affine.inverse(image.data_to_world(index)),
        "rotate": image.rotate,
        "shear": image.shear,
        "affine": image.affine,
        "units": image.units,
    }


def line_width(image: Image) -> float:
    """Width in pixels of a line that is well seen where the whole image is."""
    return max(1.0, float(max(values_of(image).shape[: image.ndim][-2:])) / 250)
