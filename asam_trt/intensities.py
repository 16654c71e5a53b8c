"""Values beyond 8 bits as a picture: a window of them, as radiologists choose it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.checks import number

Float32Array = npt.NDArray[np.float32]


def window(image: Any, low: float, high: float) -> Float32Array:
    """The values ``low`` to ``high`` of an image as 0 to 1, linear, clipped outside: what `Session.set_image` takes.

    The network sees 0 to 1 as black (0) to white (255).

    Args:
        image: [H, W] or [H, W, 3] of any integers or floating point, or a PIL image, also of 16 or 32 bits (modes I
            and F): CT, depth, microscopy.
        low, high: in the image's own values, such as -1000 and 400 for a lung in Hounsfield units.

    Raises:
        TypeError: no array of numbers, or a limit that is no number.
        ValueError: low >= high, a limit or a value that is not finite.
    """
    low, high = number(low, "low"), number(high, "high")
    if low >= high:
        raise ValueError(f"expected a window with low < high, came {low:g} and {high:g}")
    values = _values(image)
    if not np.isfinite(values).all():
        raise ValueError("expected finite image values, came NaN or infinity")
    return scaled(values, low, high)


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
