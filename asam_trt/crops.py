"""The part of a slice around a prompt: what is small in a scan is seen as large as a network has learned it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.canvas import Region
from asam_trt.checks import integer
from asam_trt.geometry import box_corners

_LEAST = 16  # pixels


def region_around(
    size: tuple[int, int],
    side: int | None,
    *,
    box: npt.ArrayLike | None = None,
    point_coords: npt.ArrayLike | None = None,
) -> Region:
    """(x0, y0, x1, y1) of a square around the middle of a prompt, moved into the slice and cut where that is smaller.

    Args:
        size: (H, W) of the slice.
        side: of the square in pixels; None is the whole slice.
        box, point_coords: the prompt; the middle is that of the box where there is one.

    Raises:
        TypeError, ValueError: a side that is no integer of at least 16, or neither box nor points.
    """
    h, w = size
    if side is None:
        return 0, 0, w, h
    if integer(side, "crop") < _LEAST:
        raise ValueError(f"expected crop of at least {_LEAST} pixels, came {side}")
    if box is not None:
        x, y = (box_corners(box).reshape(2, 2).sum(axis=0) / 2).tolist()
    elif point_coords is not None:
        x, y = np.asarray(point_coords, np.float64).reshape(-1, 2).mean(axis=0).tolist()
    else:
        raise ValueError("expected a box or points with crop, came none of them")
    x0, y0 = (min(max(round(v - side / 2), 0), max(whole - side, 0)) for v, whole in ((x, w), (y, h)))
    return x0, y0, min(x0 + side, w), min(y0 + side, h)


def shifted(places: npt.ArrayLike | None, region: Region, sign: int = -1) -> Any:
    """Boxes (x, y, x, y) or points (x, y) [..., 2 or 4] of a slice in pixels of its region; back with ``sign`` 1."""
    if places is None:
        return None
    found = np.asarray(places, np.float64)
    return found + sign * np.resize(np.array(region[:2], np.float64), found.shape[-1])
