"""A scan as a stack of slices, with what millimetres and files need."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt import intensities
from asam_trt.checks import as_path, integer
from asam_trt.files import replacing
from asam_trt.geometry import as_image
from asam_trt.grid import Affine, Grid
from asam_trt.kept import kept
from asam_trt.nifti_files import write_nifti
from asam_trt.pictures import Window

MOST_VOXELS = 1 << 28
"""Of masks on the whole grid, all together, that are written without being asked for."""


@dataclass(frozen=True, eq=False)
class Volume:
    """A scan. ``len(volume)`` is D, the number of its slices.

    NIfTI and DICOM are seen axially, as radiologists see them: rows go to posterior, columns to the patient's left, and
    the index of slices grows to superior. In a coronal plane rows go to inferior, columns to the left and slices to
    anterior, in a sagittal one rows to inferior, columns to posterior and slices to the right. Of an oblique scan the
    nearest axes are taken, and nothing is resampled. A file of a single slice is seen in its own plane. An array of
    .npy is taken as it is.

    Attributes:
        values: numbers [D, H, W] in the file's units (Hounsfield units of CT); may be a view or lie in the file, and
            one that is cut then ends the process: `slice` is safe.
        grid: the file's own voxels, for writing masks.
        name: of the file, for messages.
        window: (low, high) that the file itself asks for, in its units.
        white_low: low values are seen as white, as DICOM's MONOCHROME1; `picture` turns them round, `values` stay.
        flat_spacing: `spacing` of a file that has one and no affine.
        remarks: what is unusual, in words.
        read: reads a slice of values that lie in the file, by its index.
    """

    values: npt.NDArray[Any]
    grid: Grid
    name: str = "the volume"
    window: Window | None = None
    white_low: bool = False
    flat_spacing: tuple[float, float, float] | None = None
    remarks: tuple[str, ...] = ()
    read: Callable[[int], npt.NDArray[Any]] | None = None

    @classmethod
    def of(cls, values: npt.NDArray[Any], name: str = "the volume") -> Volume:
        """A volume of an array [D, H, W], or one slice [H, W], without millimetres.

        Raises:
            TypeError: no array of real numbers.
            ValueError: another shape, or nothing in it.
        """
        if not isinstance(values, np.ndarray) or values.dtype.kind not in "biuf":
            came = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
            raise TypeError(f"{name}: expected an array of real numbers, came {came}")
        if values.ndim not in (2, 3) or not values.size:
            raise ValueError(f"{name}: expected an array [D, H, W] or [H, W], came {list(values.shape)}")
        stack = values[None] if values.ndim == 2 else values
        d, h, w = stack.shape
        return cls(stack, Grid((d, h, w)), name)

    @kept
    def affine(self) -> Affine | None:
        """float64 [4, 4], (slice, row, column, 1) to world space in millimetres: right, anterior, superior."""
        return self.grid.seen_affine()

    @kept
    def spacing(self) -> tuple[float, float, float] | None:
        """Millimetres from a slice, row and column to the next; None where the file does not say."""
        if self.affine is None:
            return self.flat_spacing
        slices, rows, columns = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return slices, rows, columns

    @kept
    def pixel_mm2(self) -> float | None:
        """Area of a pixel of a slice, mm2."""
        if self.affine is None:
            return None if self.flat_spacing is None else float(np.prod(self.flat_spacing[1:]))
        return float(np.linalg.norm(np.cross(self.affine[:3, 1], self.affine[:3, 2])))

    @kept
    def voxel_ml(self) -> float | None:
        """Volume of a voxel, ml."""
        if self.affine is None:
            return None if self.flat_spacing is None else float(np.prod(self.flat_spacing) / 1e3)
        return float(abs(np.linalg.det(self.affine[:3, :3])) / 1e3)

    @kept
    def limits(self) -> tuple[float, float]:
        """The least and the largest value."""
        ends = [(one.min(), one.max()) for one in map(self.slice, range(len(self)))]
        return float(np.min(ends)), float(np.max(ends))

    def slice(self, index: int) -> npt.NDArray[Any]:
        """Slice ``index`` of ``values``, [H, W].

        Raises:
            ValueError: it lies in a file that has become shorter.
        """
        return np.asarray(self.values[index] if self.read is None else self.read(index))

    def picture(self, index: int, window: Window | None = None) -> npt.NDArray[Any]:
        """A slice as `Session.set_image` takes it, uint8 or float32 [H, W, 3].

        Args:
            index: of the slice, from 0.
            window: (low, high), the values seen as black and white, see `asam_trt.window`; None takes the file's own.
                Values of 8 bits, and floating point in [0, 1], need none.

        Raises:
            TypeError: the index is no integer, or a limit no number.
            ValueError: no such slice, a window that is none, or one that is missing.
            OutsideWindow: no value of this slice lies in the window, as of air in a scan; ``shown`` is [H, W].
        """
        index = integer(index, "index")
        if not 0 <= index < len(self):
            raise ValueError(f"{self.name}: expected a slice from 0 to {len(self) - 1}, came {index}")
        values, window = self.slice(index), self.window if window is None else window
        if window is not None:
            try:
                shown: npt.NDArray[Any] = intensities.window(values, *window)
            except intensities.OutsideWindow as error:
                raise intensities.OutsideWindow(
                    f"{self.name}, slice {index}: {error}", 1 - error.shown if self.white_low else error.shown
                ) from error
            except ValueError as error:
                raise ValueError(f"{self.name}, slice {index}: {error}") from error
            return as_image(1 - shown if self.white_low else shown)
        if values.dtype == np.uint8:
            return as_image(255 - values if self.white_low else values)
        low, high = self.limits
        if values.dtype.kind in "bf" and low >= 0 and high <= 1:
            shown = values.astype(np.float32)
            return as_image(1 - shown if self.white_low else shown)
        raise ValueError(
            f"{self.name}: expected values of 8 bits, came {values.dtype} of {low:g} to {high:g}: choose the window of "
            "values to be seen with window=(low, high)"
        )

    def save(self, path: str | os.PathLike[str], values: npt.NDArray[Any]) -> None:
        """Write values of every voxel in the file's own grid: .nii.gz, or .npy of a volume without an affine.

        Args:
            path: ends in `suffix`.
            values: [D, H, W] as seen, real numbers of 8 to 64 bits; bool is written as uint8.

        Raises:
            TypeError: no such numbers.
            ValueError: another shape or ending.
            ImportError: nibabel is not installed.
            OSError: the disk refuses.
        """
        if values.shape != self.values.shape:
            raise ValueError(f"expected values {list(self.values.shape)}, came {list(values.shape)}")
        if values.dtype.kind not in "biuf" or values.dtype == np.float16:
            raise TypeError(
                f"expected values of 8 to 64 bits, or floating point of 32 or 64, came {values.dtype}"
            )
        target = as_path(path, "path")
        if not target.name.endswith(self.suffix):
            raise ValueError(f"expected a path that ends in {self.suffix}, came {target}")
        values = values.view(np.uint8) if values.dtype == np.bool_ else values
        with replacing(target) as temporary:
            write_stack(temporary, self.grid, [values], values.dtype)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of a slice."""
        _, h, w = self.values.shape
        return h, w

    @property
    def suffix(self) -> str:
        """How the names of files of `save` end."""
        return ".npy" if self.affine is None else ".nii.gz"

    def __len__(self) -> int:
        return len(self.values)

    def __repr__(self) -> str:
        d, h, w = self.values.shape
        size = "" if self.spacing is None else " of {:.3g} x {:.3g} x {:.3g} mm".format(*self.spacing)
        return f"Volume({self.name!r}, {d} x {h} x {w} (slices x h x w){size}, {self.values.dtype})"


def write_stack(
    path: Path, grid: Grid, volumes: Iterable[npt.NDArray[Any]], dtype: npt.DTypeLike, n: int | None = None
) -> None:
    """Write volumes [D, H, W] of a grid into one file, under any name: NIfTI, or NumPy's without an affine.

    Args:
        volumes: as seen; taken one by one, so that memory need not hold all.
        dtype: of the voxels in the file.
        n: how many there are, the last axis of NIfTI and the first of NumPy; None is one, without an axis for it.
    """
    if grid.affine is None:
        shape = grid.shape if n is None else (n, *grid.shape)
        header = {
            "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
            "fortran_order": False,
            "shape": shape,
        }
        with path.open("wb") as stream:
            np.lib.format.write_array_header_1_0(stream, header)
            for one in volumes:
                stream.write(np.asarray(one, dtype).tobytes())
        return
    write_nifti(
        path,
        (grid.stored(one) for one in volumes),
        shape=grid.shape if n is None else (*grid.shape, n),
        dtype=dtype,
        affine=grid.affine,
        header=grid.header,
        first=grid.first,
    )
