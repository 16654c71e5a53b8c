"""Scans from files: NIfTI, DICOM and NumPy arrays as one `Volume`."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.checks import as_path
from asam_trt.dicom_files import is_dicom, read_dicom
from asam_trt.file_errors import DataError, check_regular
from asam_trt.grid import PLANES, Affine, Grid
from asam_trt.nifti_files import finite, read_nifti
from asam_trt.numpy_files import NpySlices, map_npy
from asam_trt.volume import Volume

_NIFTI = (".nii", ".nii.gz")
_OBLIQUE = 5.0  # degrees
_LEAST_VOLUME = 1e-6  # of a cell of an affine, against the product of its sides: flatter ones are no grid


def is_volume(path: str | os.PathLike[str]) -> bool:
    """Whether `read_volume` is to read a path: by its name, by the bytes that mark DICOM, or as a folder."""
    found = Path(path)
    return found.name.lower().endswith((*_NIFTI, ".npy")) or found.is_dir() or is_dicom(found)


def read_volume(
    path: str | os.PathLike[str], *, series: int | str | None = None, plane: str | None = None
) -> Volume:
    """A scan: NIfTI (.nii, .nii.gz), a DICOM file of one or more frames, a folder that holds a DICOM series, or .npy.

    See `Volume` for the order of its slices, rows and columns. DICOM's slope and intercept are applied, so that CT is
    in Hounsfield units, and a series is sorted by its positions. NIfTI and DICOM need the extra `data`.

    Args:
        path: of .npy an array [D, H, W] or [H, W], which stays in its file; nothing in it is unpickled.
        series: which DICOM series of a folder that holds several: its SeriesInstanceUID, or its number in the list of
            the error that comes without, from 1.
        plane: "axial", "coronal" or "sagittal", to which the nearest axes of the scan are taken; None is axial, or the
            own plane of a scan of a single slice.

    Raises:
        ValueError: names the file: missing, damaged, of another kind, larger than can be meant, or no scan of grey
            values; of DICOM also several series and none chosen, or slices that are missing or of several sizes. A
            plane of a file that does not have it, or does not say how it lies.
        ImportError: nibabel or pydicom is not installed.
    """
    found = as_path(path, "path")
    name = found.name.lower()
    if series is not None and not found.is_dir():
        raise ValueError(
            f"{found}: expected no series={series} with a file: it chooses among the DICOM series of a folder"
        )
    if plane is not None and plane not in PLANES:
        raise ValueError(f"expected plane to be one of {', '.join(PLANES)}, came {plane!r}")
    if name.endswith(_NIFTI):
        return _of_nifti(found, plane)
    if name.endswith(".npy"):
        _check_no_plane(found, plane)
        check_regular(found)
        try:
            return _of_npy(found)
        except TypeError as error:
            raise ValueError(str(error)) from error
        except ValueError as error:
            text = str(error)
            raise ValueError(text if text.startswith(str(found)) else f"{found}: {text}") from error
    if found.is_dir() or is_dicom(found):
        return _of_dicom(found, series, plane)
    check_regular(found)
    raise DataError(
        found, "expected a scan (.nii, .nii.gz, .npy, DICOM or a folder of it), came a file of another kind"
    )


def _of_npy(path: Path) -> Volume:
    mapped = map_npy(path)
    if mapped.ndim == 3 and mapped.flags.c_contiguous:
        return replace(Volume.of(np.asarray(mapped), str(path)), read=NpySlices(path, mapped))
    return Volume.of(np.array(mapped), str(path))  # its slices are no single pieces of the file


def _check_no_plane(path: Path, plane: str | None) -> None:
    if plane is not None:
        raise ValueError(
            f"{path}: expected no plane={plane!r}: the file does not say how it lies in the body"
        )


def _grid(path: Path, shape: tuple[int, int, int], affine: Affine, plane: str | None, **rest: Any) -> Grid:
    _check_affine(path, affine)
    try:
        return Grid.placed(shape, affine, plane=plane, **rest)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _of_nifti(path: Path, plane: str | None) -> Volume:
    found = read_nifti(path, holes=True)
    values, remarks = found.values, []
    if not finite(values):
        values = _filled(path, values)
        remarks.append("voxels that are no numbers are seen as the least value")
    while values.ndim > 3 and values.shape[-1] == 1:
        values = values[..., 0]
    if not 2 <= values.ndim <= 3:
        raise DataError(
            path,
            f"expected one volume [I, J, K], came {list(values.shape)}",
            "save one of its volumes as a file" if values.ndim > 3 else "",
        )
    i, j, k = (*values.shape, 1)[:3]
    affine = found.affine.copy()
    if k == 1 and not affine[:3, 2].any():  # of a picture
        normal = np.cross(affine[:3, 0], affine[:3, 1])
        affine[:3, 2] = normal / max(float(np.linalg.norm(normal)), 1e-30)
    grid = _grid(path, (i, j, k), affine, plane, millimetres=found.millimetres, header=found.header)
    if not found.placed:
        remarks.append("the file does not say how it lies in space: left and right may be exchanged")
    remarks += _oblique(grid)
    return Volume(grid.seen(values.reshape(i, j, k)), grid, str(path), remarks=tuple(remarks))


def _filled(path: Path, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Programs that resample leave NaN outside of what they saw."""
    good = np.isfinite(values)
    if not good.any():
        raise DataError(path, "expected voxels of finite numbers, came none")
    return np.where(good, values, values[good].min())


def _of_dicom(path: Path, series: int | str | None, plane: str | None) -> Volume:
    found = read_dicom(path, series)
    values, grid = found.values, Grid((len(found.values), *found.values.shape[1:]))
    if found.affine is None:
        _check_no_plane(path, plane)
    else:
        stored = values.transpose(
            2, 1, 0
        )  # to columns, rows and slices, as DICOM is usually written to NIfTI
        i, j, k = stored.shape
        grid = _grid(path, (i, j, k), found.affine, plane)
        values = grid.seen(stored)
    remarks = (*found.remarks, *_oblique(grid))
    return Volume(values, grid, str(path), found.window, found.white_low, found.spacing, remarks)


def _oblique(grid: Grid) -> list[str]:
    """How far slices are turned against the axes of the body; one alone is seen in its own plane."""
    affine = grid.seen_affine()
    if affine is None or grid.shape[grid.axes[0]] == 1:
        return []
    _, rows, columns = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T
    normal = np.cross(rows, columns)
    across, down, right = grid.world
    along = min(abs(normal[across]) / np.linalg.norm(normal), abs(rows[down]), abs(columns[right]))
    degrees = np.degrees(np.arccos(min(along, 1.0)))
    if degrees <= _OBLIQUE:
        return []
    return [f"oblique by {degrees:.0f} degrees: nothing is resampled, slices are those of the nearest axis"]


def _check_affine(path: Path, affine: Affine) -> None:
    sides = affine[:3, :3]
    room = float(np.prod(np.linalg.norm(sides, axis=0)))
    if not np.isfinite(affine).all() or not abs(np.linalg.det(sides)) > _LEAST_VOLUME * room:
        raise DataError(path, f"expected an affine that can be inverted, came {affine[:3].tolist()}")
