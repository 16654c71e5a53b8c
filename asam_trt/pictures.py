"""Image files, opened with errors that name them."""

from __future__ import annotations

import os
import struct
import warnings
from typing import Any

import numpy.typing as npt
from PIL import Image, ImageOps

from asam_trt import intensities
from asam_trt.geometry import as_image

Window = tuple[float, float]

# What Pillow raises for files that are no image, cut short, damaged, or too large to be meant; also late, when a
# picture that was opened is first read.
BROKEN = (OSError, ValueError, SyntaxError, EOFError, struct.error, Image.DecompressionBombError)


def open_picture(path: str | os.PathLike[str]) -> Image.Image:
    """An image file, decoded and turned upright as its camera says; its mode is kept.

    Raises:
        ValueError: names the file: missing, no image, cut short, or of far too many pixels.
    """
    try:
        with warnings.catch_warnings():
            # `as_image` has a limit of its own, with an error.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                image.load()
                return ImageOps.exif_transpose(image)
    except BROKEN as error:
        raise ValueError(f"{path}: expected a readable image file, came: {_reason(error)}") from error


def read_picture(path: str | os.PathLike[str], window: Window | None = None) -> npt.NDArray[Any]:
    """The pixels of an image file, uint8 or float32 [H, W, 3], as `Session.set_image` takes them.

    Args:
        window: (low, high) in the file's own values, see `asam_trt.window`; a file of more than 8 bits needs one.

    Raises:
        ValueError: names the file: unreadable, of more than 8 bits without a window, or with a window that is none.
    """
    image = open_picture(path)
    try:
        return as_image(image if window is None else intensities.window(image, *window))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _reason(error: Exception) -> str:
    """Without the number and the name of the file that the system adds."""
    return error.strerror if isinstance(error, OSError) and error.strerror else str(error)
