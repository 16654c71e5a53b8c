"""Hypotheses as layers over the slice that they are of."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap

from asam_trt import palette
from asam_trt.hypotheses import Hypotheses
from asam_trt.modes import Modes
from asam_trt.napari.outlines import outlines
from asam_trt.napari.plane import Plane, line_width, space_of, values_of

Mask = npt.NDArray[np.bool_]

_MODES = len(palette.CATEGORIES) + 1  # at most, with the empty one


class Results:
    """The layers `mean`, `entropy`, `modes` and `mask` of a viewer, made when first needed and filled anew after that.

    How they look is the user's: opacity, visibility and the colours of maps stay as they are set.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._layers: dict[str, Layer] = {}

    def holds(self, layer: Layer) -> bool:
        """Whether a layer is one of them."""
        return layer in self._layers.values()

    def show(self, image: Image, plane: Plane, hypotheses: Hypotheses, modes: Modes) -> None:
        """Fill mean, entropy and modes. In `modes` 1 is the outline of the most probable."""
        maps = {
            "blending": "translucent",
            "contrast_limits": (0, 1),
            "colormap": _map_colours(),
            "opacity": 0.7,
        }
        self._fill("entropy", hypotheses.entropy, image, plane, visible=False, **maps)
        self._fill("mean", hypotheses.mean, image, plane, **maps)
        # Masks of `modes` may be those of a smaller picture.
        lines = outlines([hypotheses[int(i)] for i in modes.medoids], max(1, round(line_width(image))))
        self._fill("modes", lines, image, plane, colormap=_mode_colours(), opacity=1.0)

    def show_mask(self, image: Image, plane: Plane, mask: Mask, mode: int) -> None:
        """Fill `mask`, in the colour of a mode."""
        layer = self._fill("mask", mask.astype(np.uint8), image, plane, opacity=0.5)
        layer.colormap = DirectLabelColormap(
            color_dict={None: (0, 0, 0, 0), 0: (0, 0, 0, 0), 1: colour_of(mode)}
        )

    def mask(self, plane: Plane) -> Mask | None:
        """What the layer `mask` holds, bool [H, W], with what was painted by hand; None without one."""
        layer = self._known("mask")
        if layer is None:  # deleted by hand
            return None
        taken = Plane(tuple(0 for _ in plane.index), plane.rows, plane.columns).taken(layer.data)
        return taken > 0

    def clear(self) -> None:
        """Empty all layers, and leave them where they are."""
        for name in self._layers:
            layer = self._known(name)
            if layer is not None:
                layer.data = np.zeros_like(layer.data)

    def keep(self, image: Image, plane: Plane, mask: Mask, label: int) -> Labels:
        """Write a mask into the layer `kept`, as large as the image; napari's undo takes it back."""
        layer = self._known("kept")
        shape = values_of(image).shape[: image.ndim]
        if layer is None or layer.data.shape != shape:
            layer = Labels(np.zeros(shape, np.uint16), name="kept", **space_of(image))
            self._insert("kept", layer, image)
        layer.data_setitem(plane.indices(mask), label)
        return layer

    def _fill(self, name: str, values: npt.NDArray[Any], image: Image, plane: Plane, **look: Any) -> Any:
        data, space = plane.placed(values), space_of(image, plane)
        layer = self._known(name)
        if layer is not None and layer.ndim == data.ndim:
            layer.data = data
            for key, value in space.items():
                # napari looks at the whole viewer again after each of them.
                if not np.array_equal(np.asarray(getattr(layer, key)), np.asarray(value)):
                    setattr(layer, key, value)
            return layer
        if layer is not None:  # of another image
            self._viewer.layers.remove(layer)
        kind = Image if values.dtype == np.float32 else Labels
        return self._insert(name, kind(data, name=name, **space, **look), image)

    def _insert(self, name: str, layer: Layer, image: Image) -> Layer:
        """Above the image and what is there of it, below the prompt; who draws goes on drawing."""
        layers = self._viewer.layers
        below = [image, *filter(layers.__contains__, self._layers.values())]
        active = layers.selection.active
        self._layers[name] = layer  # before others hear of it
        layers.insert(max(map(layers.index, below)) + 1, layer)
        layers.selection.active = active
        return layer

    def _known(self, name: str) -> Any:
        layer = self._layers.get(name)
        return layer if layer in self._viewer.layers else None


def colour_of(mode: int) -> tuple[float, float, float, float]:
    """The colour of a mode, RGBA from 0 to 1."""
    r, g, b = palette.CATEGORIES[mode % len(palette.CATEGORIES)]
    return r / 255, g / 255, b / 255, 1.0


def _map_colours() -> Colormap:
    """Cividis, of which 0 is transparent: the picture is to be seen where nothing is said."""
    share = np.linspace(0, 1, 65)
    alpha = np.minimum(3 * share, 1)
    return Colormap(np.column_stack([palette.cividis(share) / 255, alpha]), name="cividis, 0 transparent")


def _mode_colours() -> DirectLabelColormap:
    colours: dict[int | None, Any] = {None: (0, 0, 0, 0), 0: (0, 0, 0, 0)}
    return DirectLabelColormap(color_dict=colours | {i + 1: colour_of(i) for i in range(_MODES)})
