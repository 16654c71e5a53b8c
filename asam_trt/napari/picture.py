"""What the network sees of an image layer: the same greys as the user."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from napari.layers import Image

from asam_trt import intensities
from asam_trt.napari.plane import Plane, values_of

_BYTE = (0.0, 255.0)


def look_of(image: Image) -> tuple[Any, ...]:
    """What `picture` depends on beside data and slice."""
    limits = None if image.rgb else tuple(map(float, image.contrast_limits))
    return limits, _is_turned(image)


def picture(image: Image, plane: Plane) -> npt.NDArray[Any]:
    """A slice as `Session.set_image` takes it, [H, W] or [H, W, 3].

    Greys are seen through the layer's contrast limits, turned round where its colormap is `gray_r` (MONOCHROME1).
    Colours are taken as they stand; transparent ones lie over white.

    Raises:
        ValueError: no value of the slice lies within the contrast limits, or one is not finite.
    """
    values = plane.taken(values_of(image))
    if image.rgb:
        return _colours(values)
    low, high = map(float, image.contrast_limits)
    turned = _is_turned(image)
    if values.dtype == np.uint8 and (low, high) == _BYTE:
        return np.asarray(255 - values if turned else values)
    try:
        shown = intensities.window(values.astype(np.uint8) if values.dtype == np.bool_ else values, low, high)
    except intensities.OutsideWindow as error:
        raise ValueError(f"{error}: move the contrast limits of '{image.name}'") from error
    return 1 - shown if turned else shown


def _is_turned(image: Image) -> bool:
    return not image.rgb and image.colormap.name == "gray_r"


def _colours(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    if values.dtype.kind in "iu" and values.dtype != np.uint8:
        values = intensities.scaled(values, 0, np.iinfo(values.dtype).max)
    if values.shape[2] == 3:
        return values
    white = 255 if values.dtype == np.uint8 else 1
    share = values[..., 3:].astype(np.float32) / white
    blended = values[..., :3] * share + white * (1 - share)
    return np.rint(blended).astype(np.uint8) if white == 255 else blended
