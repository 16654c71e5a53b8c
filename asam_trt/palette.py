"""Colours that people with colour blindness can tell apart, and text that can be read on any picture."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import ImageFont

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# As many as there are modes at most where their number is chosen. The first five are Okabe and Ito's (2008), the
# brightest first. Their second blue is too close to the first in a tint, and their purple is `SHADE`; the last three
# are far from all others in CIELAB, seen with normal sight and with each of the three cones missing.
CATEGORIES: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (213, 94, 0),
    (136, 64, 248),
    (216, 0, 64),
    (168, 248, 144),
)
SHADE: Colour = (204, 121, 167)
INK: Colour = (236, 236, 236)
FAINT: Colour = (150, 154, 160)
PAPER: Colour = (22, 24, 28)

# Nuñez, Anderton and Renslow (2018), cividis: even steps of brightness, the same for normal and
# colour-deficient sight. Anchors at 0, 1/8, ..., 1.
_CIVIDIS = np.array(
    [
        (0, 34, 78),
        (28, 53, 110),
        (65, 77, 108),
        (95, 100, 110),
        (124, 123, 120),
        (156, 148, 116),
        (190, 174, 104),
        (225, 203, 85),
        (254, 232, 56),
    ],
    np.float32,
)


def cividis(values: npt.NDArray[np.floating]) -> npt.NDArray[np.uint8]:
    """Numbers in 0..1 [...] -> colours uint8 [..., 3]."""
    place = np.clip(values, 0, 1) * (len(_CIVIDIS) - 1)
    lower = np.minimum(place.astype(np.intp), len(_CIVIDIS) - 2)
    t = (place - lower)[..., None]
    return np.asarray(_CIVIDIS[lower] * (1 - t) + _CIVIDIS[lower + 1] * t + 0.5).astype(np.uint8)


@lru_cache(maxsize=64)
def font(size: int) -> Font:
    """Pillow's own font at a size in pixels."""
    return ImageFont.load_default(size)
