"""The part of a slice around a prompt: what is small in a scan is seen as large as a network has learned it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.canvas import Region
from asam_trt.checks import integer
from asam_trt.geometry import box_corners

_LEAST = 16  # pixels
_SMALL = 16  # pixels of the network's image: narrower boxes hold little that can be told apart
_ROOM = 3  # crop, against the box


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


def remarks_on_region(
    size: tuple[int, int],
    region: Region,
    network: int,
    *,
    crop: int | None = None,
    box: npt.ArrayLike | None = None,
    point_coords: npt.ArrayLike | None = None,
) -> tuple[str, ...]:
    """What is to be known of the part of a slice that a network sees, in words; see `region_around`.

    Args:
        network: side in pixels of the square that the network sees.
    """
    remarks = []
    if crop is not None and crop > max(size):
        remarks.append(
            f"crop={crop} is larger than the slice, {size[1]} x {size[0]} (w x h): all of it is seen"
        )
    seen = max(region[2] - region[0], region[3] - region[1])
    if box is not None:
        x0, y0, x1, y1 = box_corners(box).tolist()
        side = max(x1 - x0, y1 - y0)
        if crop is not None and side > crop:
            remarks.append(f"the box is larger than crop={crop}: what lies outside of the square is not seen")
        larger = max(32, 16 * math.ceil(_ROOM * side / 16))
        if side * network / seen < _SMALL and larger < seen:
            remarks.append(
                f"the network sees the box {side * network / seen:.0f} pixels wide: crop={larger} shows it larger"
            )
    elif point_coords is not None and crop is None:
        remarks.append(
            "points do not say how large the object is: crop= shows a part of the slice, best three times as wide as it"
        )
    return tuple(remarks)


def shifted(places: npt.ArrayLike | None, region: Region, sign: int = -1) -> Any:
    """Boxes (x, y, x, y) or points (x, y) [..., 2 or 4] of a slice in pixels of its region; back with ``sign`` 1."""
    if places is None:
        return None
    found = np.asarray(places, np.float64)
    return found + sign * np.resize(np.array(region[:2], np.float64), found.shape[-1])
