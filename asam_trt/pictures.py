"""Image files, opened with errors that name them."""

from __future__ import annotations

import os
import struct
import warnings

from PIL import Image, ImageOps

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
        raise ValueError(f"{path}: expected a readable image file, came: {error}") from error
