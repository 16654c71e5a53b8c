"""The picture and the box that new engines are compared on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def parity_picture() -> tuple[npt.NDArray[np.uint8], tuple[float, float, float, float]]:
    """A disc on a gradient, wider than high so that the padding takes part, and a box around the disc."""
    h, w = 96, 128
    y, x = np.mgrid[:h, :w]
    image = np.stack([x * 255 // w, y * 255 // h, np.full((h, w), 96)], axis=2)
    image[(x - 60) ** 2 + (y - 50) ** 2 < 28**2] = (230, 210, 90)
    return image.astype(np.uint8), (30.0, 20.0, 90.0, 80.0)
