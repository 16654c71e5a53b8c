"""Outlines of a map at one level: marching squares (Lorensen and Cline 1987 in the plane), vectorised."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

Ring = npt.NDArray[np.float32]

# Sides of a cell, and how an outline crosses it for each of the 16 corner patterns (bits: top-left 1,
# top-right 2, bottom-right 4, bottom-left 8): from side to side, the inside on the right-hand side. Two
# opposite corners (5, 10) are crossed twice; 16 and 17 are these two where the cell's mean joins the corners.
_TOP, _RIGHT, _BOTTOM, _LEFT = range(4)
_CROSSINGS: dict[int, tuple[int, int]] = {
    1: (_TOP, _LEFT),
    2: (_RIGHT, _TOP),
    3: (_RIGHT, _LEFT),
    4: (_BOTTOM, _RIGHT),
    5: (_TOP, _LEFT),
    6: (_BOTTOM, _TOP),
    7: (_BOTTOM, _LEFT),
    8: (_LEFT, _BOTTOM),
    9: (_TOP, _BOTTOM),
    10: (_RIGHT, _TOP),
    11: (_RIGHT, _BOTTOM),
    12: (_LEFT, _RIGHT),
    13: (_TOP, _RIGHT),
    14: (_LEFT, _TOP),
    16: (_TOP, _RIGHT),
    17: (_LEFT, _TOP),
}
_SECOND_CROSSINGS: dict[int, tuple[int, int]] = {
    5: (_BOTTOM, _RIGHT),
    10: (_LEFT, _BOTTOM),
    16: (_BOTTOM, _LEFT),
    17: (_RIGHT, _BOTTOM),
}


def _table(crossings: dict[int, tuple[int, int]]) -> npt.NDArray[np.intp]:
    table = np.zeros((18, 2), np.intp)
    for code, sides in crossings.items():
        table[code] = sides
    return table


_FIRST, _SECOND = _table(_CROSSINGS), _table(_SECOND_CROSSINGS)


@dataclass(frozen=True)
class Polygon:
    """One connected piece: its outer ring and the rings of its holes, float32 [k, 2] of (x, y), open."""

    exterior: Ring
    holes: list[Ring] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"Polygon({len(self.exterior)} points, {len(self.holes)} holes)"


def rings(values: npt.ArrayLike, level: float = 0.0) -> list[Ring]:
    """Closed outlines of ``values > level``.

    Args:
        values: [h, w] numbers.

    Returns:
        Rings float32 [k, 2] of (x, y); the centre of values[0, 0] is (0.5, 0.5), a ring that meets the border
        runs along it. Outer rings have a positive `signed_area`, holes a negative one.
    """
    points, ends = trace(values, level)
    return split(points, ends)


def trace(values: npt.ArrayLike, level: float = 0.0) -> tuple[npt.NDArray[np.float32], list[int]]:
    """`rings` in one array: points float32 [n, 2] of all rings one after the other, and where each ends."""
    padded = _pad(np.asarray(values, np.float64), level)
    start, end, points = _segments(padded, level)
    # Every crossed side is left once and entered once: start -> end is a permutation, the rings its cycles.
    order = np.argsort(start)
    follow = np.searchsorted(start[order], end[order]).tolist()
    unseen = bytearray(b"\x01") * len(follow)
    path: list[int] = []
    ends: list[int] = []
    for first in range(len(follow)):
        if not unseen[first]:
            continue
        i = first
        while unseen[i]:
            unseen[i] = 0
            path.append(i)
            i = follow[i]
        ends.append(len(path))
    return points[order[path]].astype(np.float32), ends


def split(points: npt.NDArray[np.float32], ends: list[int]) -> list[Ring]:
    """The rings of `trace`, one array each; those that enclose nothing are left out."""
    if not ends:
        return []
    starts = [0, *ends[:-1]]
    x, y = points.astype(np.float64).T
    following = np.arange(1, len(points) + 1)
    following[np.array(ends) - 1] = starts
    twice_area = np.add.reduceat(x * y[following] - x[following] * y, starts)
    return [points[a:b] for a, b, area in zip(starts, ends, twice_area, strict=True) if area != 0]


def signed_area(ring: npt.NDArray[Any]) -> float:
    """Area inside a ring by the shoelace formula; positive clockwise on the screen (y points down)."""
    x, y = ring[:, 0].astype(np.float64), ring[:, 1].astype(np.float64)
    return float(0.5 * np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))


def polygons(outlines: list[Ring]) -> list[Polygon]:
    """Rings -> polygons: each hole goes to the smallest outer ring around it."""
    areas = [signed_area(r) for r in outlines]
    outer = sorted((a, i) for i, a in enumerate(areas) if a > 0)
    found = {i: Polygon(outlines[i]) for _, i in outer}
    for i, area in enumerate(areas):
        if area >= 0:
            continue
        owner = next((o for size, o in outer if size > -area and _holds(outlines[o], outlines[i][0])), None)
        if owner is not None:
            found[owner].holes.append(outlines[i])
    return [found[i] for _, i in reversed(outer)]


def _pad(values: npt.NDArray[np.float64], level: float) -> npt.NDArray[np.float64]:
    # The mirrored rim puts the crossing exactly on the border of the map.
    padded = np.pad(values, 1, mode="edge")
    for rim in (np.s_[0, :], np.s_[-1, :], np.s_[:, 0], np.s_[:, -1]):
        padded[rim] = level - np.abs(padded[rim] - level)
    return padded


def _segments(
    v: npt.NDArray[np.float64], level: float
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float64]]:
    """Directed segments of all cells: ids of the sides they start and end on, and their start points."""
    inside = v > level
    h, w = v.shape
    bit = inside.view(np.uint8)
    pattern = bit[:-1, :-1] | bit[:-1, 1:] << 1 | bit[1:, 1:] << 2 | bit[1:, :-1] << 3
    # Columns of one flat index are cheaper to find than rows and columns.
    y, x = np.divmod(np.flatnonzero((pattern != 0) & (pattern != 15)), w - 1)
    code = pattern[y, x].astype(np.intp)
    twice = np.flatnonzero((code == 5) | (code == 10))
    if len(twice):
        ty, tx = y[twice], x[twice]
        joined = (v[ty, tx] + v[ty, tx + 1] + v[ty + 1, tx + 1] + v[ty + 1, tx]) / 4 > level
        code[twice[joined]] = np.where(code[twice[joined]] == 5, 16, 17)
        y, x = np.concatenate([y, ty]), np.concatenate([x, tx])
        sides = np.concatenate([_FIRST[code], _SECOND[code[twice]]])
    else:
        sides = _FIRST[code]
    # Horizontal sides are numbered by their left end, vertical ones by their top end after them.
    horizontal = y * w + x
    of_side = np.stack([horizontal, h * w + horizontal + 1, horizontal + w, h * w + horizontal])
    place = np.arange(len(y))
    start = of_side[sides[:, 0], place]
    return start, of_side[sides[:, 1], place], _side_points(start, v, level)


def _side_points(
    ids: npt.NDArray[np.intp], v: npt.NDArray[np.float64], level: float
) -> npt.NDArray[np.float64]:
    h, w = v.shape
    vertical = ids >= h * w
    y, x = np.divmod(ids - vertical * (h * w), w)
    a = v[y, x]
    b = v[y + vertical, x + ~vertical]
    t = (level - a) / (b - a)
    # -1 undoes the rim, +0.5 moves from sample index to the sample's centre.
    return np.stack([x + t * ~vertical, y + t * vertical], axis=1) - 0.5


def _holds(ring: Ring, point: npt.NDArray[Any]) -> bool:
    x, y = ring[:, 0], ring[:, 1]
    nx, ny = np.roll(x, -1), np.roll(y, -1)
    crosses = (y > point[1]) != (ny > point[1])
    with np.errstate(divide="ignore", invalid="ignore"):
        at = x + (point[1] - y) / (ny - y) * (nx - x)
    return bool(np.count_nonzero(crosses & (at > point[0])) % 2)
