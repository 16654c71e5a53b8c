"""Values beyond 8 bits as a picture: a window of them, as radiologists choose it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.checks import number

Float32Array = npt.NDArray[np.float32]


class OutsideWindow(ValueError):
    """No value of an image lies in its window.

    Attributes:
        shown: what is left of the image, float32 of its shape: all 0, or all 1.
    """

    def __init__(self, text: str, shown: Float32Array) -> None:
        super().__init__(text)
        self.shown = shown


def window(image: Any, low: float, high: float) -> Float32Array:
    """The values ``low`` to ``high`` of an image as 0 to 1, linear, clipped outside: what `Session.set_image` takes.

    The network sees 0 to 1 as black (0) to white (255).

    Args:
        image: [H, W] or [H, W, 3] of any integers or floating point, or a PIL image, also of 16 or 32 bits (modes I
            and F): CT, depth, microscopy. A volume is better given whole than a slice at a time, [D, H, W], where some
            of its slices may have no value in the window.
        low, high: in the image's own values, such as -1000 and 400 for a lung in Hounsfield units.

    Raises:
        TypeError: no array of numbers, or a limit that is no number.
        ValueError: low >= high, a limit or a value that is not finite, or no value from low to high: all values are
            below or all are above, and the picture would be black or white.
    """
    low, high = number(low, "low"), number(high, "high")
    if low >= high:
        raise ValueError(f"expected a window with low < high, came {low:g} and {high:g}")
    values = _values(image)
    if not np.isfinite(values).all():
        raise ValueError("expected finite image values, came NaN or infinity")
    shown = scaled(values, low, high)
    if values.size:
        least, most = float(values.min()), float(values.max())
        if most < low or least > high:
            raise OutsideWindow(
                f"expected a window that overlaps the image's values, {least:g} to {most:g}, came {low:g} to {high:g}",
                shown,
            )
    return shown


def scaled(values: npt.NDArray[Any], low: float, high: float) -> Float32Array:
    """Maps [low, high] to [0, 1] and clips what lies outside; unchecked, and 0 or 1 where both limits are one."""
    out: Float32Array = (values.astype(np.float32) - np.float32(low)) / np.float32(max(high - low, 1e-12))
    np.clip(out, 0, 1, out=out)
    return out


def is_deep(image: Any) -> bool:
    """Whether a PIL image has values beyond 8 bits."""
    return str(image.mode).startswith(("I", "F"))


def _values(image: Any) -> npt.NDArray[Any]:
    from PIL import Image

    from asam_trt.geometry import as_image
    from asam_trt.host_arrays import to_host

    if isinstance(image, Image.Image):
        return np.asarray(image) if is_deep(image) else as_image(image)
    found = to_host(image, "image")
    if found.dtype.kind not in "iuf":
        raise TypeError(f"expected an image of numbers, came {found.dtype}")
    return found
