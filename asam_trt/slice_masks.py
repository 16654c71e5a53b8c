"""Hypotheses of one slice as files that lie over their scan in a viewer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.canvas import Region
from asam_trt.hypotheses import Hypotheses
from asam_trt.volume import MOST_VOXELS, Volume, write_stack

Writer = Callable[[Path], None]

NAMES = ("majority.nii.gz", "mean.nii.gz", "masks.nii.gz")


def writers(
    volume: Volume, index: int, hypotheses: Hypotheses, region: Region | None = None
) -> dict[str, Writer]:
    """What writes each of `NAMES` to a path; nothing for a scan without a place in space.

    ``majority.nii.gz``, uint8, and ``mean.nii.gz``, float32 from 0 to 1, have the grid of the whole scan, 0 outside the
    slice: viewers take a segmentation or an overlay only on the very grid of its image. ``masks.nii.gz``, uint8, has
    the n hypotheses as its fourth axis, which would be gigabytes on the whole grid: it holds the slice alone, at its
    place in space. Of a file that does not say where it lies a part has no place: there it has the whole grid, up to
    `MOST_VOXELS` voxels.

    Args:
        index: of the slice.
        hypotheses: of `Volume.picture` of this slice, or of its region.
        region: (x0, y0, x1, y1) of the slice; None is all of it.

    Raises:
        ValueError: hypotheses of another size.
    """
    h, w = volume.size
    x0, y0, x1, y1 = (0, 0, w, h) if region is None else region
    if hypotheses.frame.original != (y1 - y0, x1 - x0):
        raise ValueError(
            f"expected hypotheses of {[y1 - y0, x1 - x0]} pixels, came {list(hypotheses.frame.original)}"
        )
    if volume.affine is None:
        return {}

    def placed(one: npt.NDArray[Any]) -> npt.NDArray[Any]:
        return np.pad(one, ((y0, h - y1), (x0, w - x1)))

    def whole(one: npt.NDArray[Any], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        values: npt.NDArray[Any] = np.zeros(volume.values.shape, dtype)
        values[index] = placed(one)
        return values

    def masks(path: Path) -> None:
        if not volume.grid.placed_by_file and not without_place(volume, len(hypotheses)):
            each = (whole(mask, np.uint8) for mask in hypotheses)
            write_stack(path, volume.grid, each, np.uint8, len(hypotheses))
            return
        slab = volume.grid.slab(index)
        write_stack(path, slab, (placed(mask)[None] for mask in hypotheses), np.uint8, len(hypotheses))

    made: tuple[Writer, ...] = (
        lambda path: write_stack(path, volume.grid, [whole(hypotheses.consensus(), np.uint8)], np.uint8),
        lambda path: write_stack(path, volume.grid, [whole(hypotheses.mean, np.float32)], np.float32),
        masks,
    )
    return dict(zip(NAMES, made, strict=True))


def without_place(volume: Volume, n: int) -> bool:
    """Whether ``masks.nii.gz`` of n hypotheses is a part of the scan that does not lie over it."""
    return not volume.grid.placed_by_file and n * volume.values.size > MOST_VOXELS
