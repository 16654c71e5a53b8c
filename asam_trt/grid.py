"""The voxels of a scan's file, and how its slices are seen: back and forth without a voxel moved."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import numpy as np
import numpy.typing as npt

Affine = npt.NDArray[np.float64]

PLANES = ("sagittal", "coronal", "axial")
"""By the world axis along which their slices are counted."""
# World axes (0: to the right, 1: to anterior, 2: to superior) of a slice's rows and columns, by that of its normal.
# Rows go to posterior or inferior and columns to the patient's left or posterior: against the world axes.
_IN_PLANE = {0: (2, 1), 1: (2, 0), 2: (1, 0)}


@dataclass(frozen=True, eq=False)
class Grid:
    """How a file holds a volume, and which of its axes are seen as slices, rows and columns.

    Attributes:
        shape: (I, J, K) of the file.
        affine: float64 [4, 4], indices (i, j, k, 1) of the file to its own units, RAS; None where it has none.
        plane: one of `PLANES` that the slices are nearest to; None without an affine.
        axes: axes of the file that are seen as slices, rows and columns.
        flipped: which of these three are counted from the other end.
        millimetres: of one unit of the affine.
        header: of the NIfTI file, None for other files.
        first: index (i, j, k) in the file of this grid's first voxel: not 0 for a part, see `slab`.
    """

    shape: tuple[int, int, int]
    affine: Affine | None = None
    plane: str | None = None
    axes: tuple[int, int, int] = (0, 1, 2)
    flipped: tuple[bool, bool, bool] = (False, False, False)
    millimetres: float = 1.0
    header: Any = None
    first: tuple[int, int, int] = (0, 0, 0)

    @classmethod
    def placed(
        cls,
        shape: tuple[int, int, int],
        affine: Affine,
        *,
        plane: str | None = None,
        millimetres: float = 1.0,
        header: Any = None,
    ) -> Grid:
        """A grid in space, seen as `Volume` says.

        Args:
            affine: invertible.
            plane: one of `PLANES`; None is axial, or the own plane of a single slice.

        Raises:
            ValueError: another plane than that of a single slice.
        """
        cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)  # [world axis, file axis]
        flat = [axis for axis in range(3) if shape[axis] == 1]
        normal, slices = PLANES.index(plane or "axial"), range(3)
        if len(flat) == 1:
            slices = range(flat[0], flat[0] + 1)
            normal = int(np.argmax(np.abs(cosines[:, flat[0]])))
            if plane not in (None, PLANES[normal]):
                raise ValueError(
                    f"expected plane='{PLANES[normal]}', in which its single slice lies, came {plane!r}"
                )
        world = normal, *_IN_PLANE[normal]
        axes = max(
            (order for order in permutations(range(3)) if order[0] in slices),
            key=lambda order: sum(abs(cosines[w, a]) for w, a in zip(world, order, strict=True)),
        )
        along = [cosines[w, a] > 0 for w, a in zip(world, axes, strict=True)]
        flipped = not along[0], bool(along[1]), bool(along[2])
        return cls(shape, affine, PLANES[normal], (axes[0], axes[1], axes[2]), flipped, millimetres, header)

    def seen(self, stored: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """[I, J, K] of the file -> [D, H, W] as seen, a view."""
        return np.transpose(stored, self.axes)[self._flips]

    def stored(self, seen: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """[D, H, W] as seen -> [I, J, K] of the file, a view."""
        return np.transpose(seen[self._flips], np.argsort(self.axes))

    def seen_affine(self) -> Affine | None:
        """float64 [4, 4], (slice, row, column, 1) to RAS in millimetres; None without an affine."""
        if self.affine is None:
            return None
        index = np.zeros((4, 4))  # (slice, row, column, 1) -> (i, j, k, 1)
        index[3, 3] = 1
        for seen, (axis, flipped) in enumerate(zip(self.axes, self.flipped, strict=True)):
            index[axis, seen] = -1 if flipped else 1
            index[axis, 3] = self.shape[axis] - 1 if flipped else 0
        return np.asarray(np.diag([self.millimetres] * 3 + [1.0]) @ self.affine @ index)

    @property
    def placed_by_file(self) -> bool:
        """Whether its file says where it lies; else readers place it, and parts of it, each as it likes."""
        return self.header is None or bool(self.header["sform_code"] or self.header["qform_code"])

    def slab(self, index: int) -> Grid:
        """The grid of one slice as seen, at its place in space."""
        axis = self.axes[0]
        at = self.shape[axis] - 1 - index if self.flipped[0] else index
        shape, first = list(self.shape), list(self.first)
        shape[axis], first[axis] = 1, first[axis] + at
        affine = None
        if self.affine is not None:
            affine = self.affine.copy()
            affine[:3, 3] += at * affine[:3, axis]
        return replace(
            self,
            shape=(shape[0], shape[1], shape[2]),
            affine=affine,
            first=(first[0], first[1], first[2]),
        )

    @property
    def world(self) -> tuple[int, int, int]:
        """World axes (0: to the right, 1: to anterior, 2: to superior) that slices, rows and columns are nearest to."""
        normal = PLANES.index(self.plane or "axial")
        return normal, *_IN_PLANE[normal]

    @property
    def _flips(self) -> tuple[slice, slice, slice]:
        slices, rows, columns = (slice(None, None, -1 if flipped else 1) for flipped in self.flipped)
        return slices, rows, columns
