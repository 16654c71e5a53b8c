"""What the pixels of a mask file say: 0 outside, whatever kind of picture it is saved as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asam.data.errors import DataError

__all__ = ["mask_values"]

_PLAIN = ("1", "L", "I", "F")  # Pillow's modes of one number a pixel begin so


def mask_values(path: Path, picture: Image.Image) -> NDArray[Any]:
    """[H, W] of numbers; nothing is scaled or rounded, so that no value but 0 becomes 0.

    Args:
        path: named in errors.
        picture: colours are numbered by their bytes, a palette's by their place in it.

    Raises:
        DataError: NaN or infinity, or transparency that marks other pixels than the colours do.
    """
    if picture.mode == "P":
        values = _indices(picture)
    elif picture.mode in ("LA", "La"):
        values = np.array(picture.getchannel("L"))
    elif picture.mode.startswith(_PLAIN):
        values = np.array(picture)
    else:
        values = _numbered(np.array(picture.convert("RGB")))
    if not np.isfinite(values).all():
        raise DataError(path, "expected a mask of 0 and one other value, got NaN or infinity")
    if not picture.has_transparency_data or picture.mode.startswith(("I", "F")):
        return values
    return _seen(path, values, np.array(picture.convert("RGBA").getchannel("A")))


def _indices(picture: Image.Image) -> NDArray[Any]:
    """0 is outside; or black, where a program that sorts colours has given it another place."""
    values = np.array(picture)
    colors = np.zeros((256, 3), np.uint8)
    palette = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    colors[: len(palette)] = palette
    black = np.asarray((colors == 0).all(axis=1))
    if black[0] or not black[values].any():
        return values
    return np.where(black[values], 0, values.astype(np.int32) + 1)


def _numbered(colors: NDArray[np.uint8]) -> NDArray[Any]:
    """A grey keeps its value."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), 2, 0)
    if (red == green).all() and (green == blue).all():
        return np.asarray(red)
    return np.asarray((red << 16) | (green << 8) | blue)


def _seen(path: Path, values: NDArray[Any], alpha: NDArray[np.uint8]) -> NDArray[Any]:
    """The values, or the opacity where that alone differs from pixel to pixel."""
    if alpha.min() == alpha.max():
        return values
    if values.min() == values.max():
        return alpha
    if ((values != 0) != (alpha != 0)).any():
        raise DataError(
            path,
            "expected a mask, got colours that mark other pixels than the transparency does",
            "save it without transparency: 0, and one other value for the object",
        )
    return values
