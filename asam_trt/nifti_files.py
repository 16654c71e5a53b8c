"""NIfTI volumes through nibabel: read with errors that name the file, written a volume at a time."""

from __future__ import annotations

import gzip
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.file_errors import DataError, check_regular, damage_told, missing_package

MAX_BYTES = 1 << 33  # of a volume in memory
_MOST_INFLATED = 1032  # bytes that DEFLATE makes of one
_MILLIMETRES = {
    "meter": 1e3,
    "micron": 1e-3,
}  # of the header's units; the others, also "unknown", are millimetres
_MOST_SIDE = 32767  # of NIfTI-1
_ROWS, _OFFSETS = (tuple(f"{field}_{axis}" for axis in "xyz") for field in ("srow", "qoffset"))
_PLACE = ("qform_code", "sform_code", "quatern_b", "quatern_c", "quatern_d", *_ROWS, *_OFFSETS)


@dataclass(frozen=True, eq=False)
class NiftiFile:
    """What a file holds.

    Attributes:
        values: as stored, or floating point where the header scales them; axes as in the file.
        header: of nibabel.
        affine: float64 [4, 4], indices (i, j, k, 1) to the file's own units, RAS.
        placed: whether the header says where the volume lies; without, the affine is nibabel's guess.
    """

    values: npt.NDArray[Any]
    header: Any
    affine: npt.NDArray[np.float64]
    placed: bool

    @property
    def zooms(self) -> tuple[float, ...]:
        """Sizes of a voxel in the header's units, an axis each."""
        return tuple(float(size) for size in self.header.get_zooms())

    @property
    def millimetres(self) -> float:
        """Of one unit of the affine."""
        return _MILLIMETRES.get(self.header.get_xyzt_units()[0], 1.0)


def read_nifti(path: Path, *, holes: bool = False) -> NiftiFile:
    """A NIfTI file, .nii or .nii.gz.

    Args:
        holes: take voxels of NaN and infinity.

    Raises:
        DataError: missing, truncated, damaged, not NIfTI, larger than can be meant, or with voxels that are no numbers,
            or without ``holes`` no finite ones.
        ImportError: nibabel is not installed.
    """
    nibabel = _nibabel()
    check_regular(path)
    with damage_told(path, "truncated, damaged or not NIfTI"), _silent(nibabel.imageglobals.logger):
        volume: Any = nibabel.load(path)
        if not isinstance(volume, nibabel.Nifti1Pair):
            raise ValueError(f"a file of {type(volume).__name__}")
        _check_size(path, volume)
        proxy = volume.dataobj
        data = np.asarray(proxy.get_unscaled())
        if (proxy.slope, proxy.inter) != (1, 0):
            data = _scaled(data, proxy.slope, proxy.inter)
        placed = bool(volume.header["sform_code"] or volume.header["qform_code"])
        found = NiftiFile(data, volume.header, np.asarray(volume.affine, np.float64), placed)
        _ = found.zooms, found.millimetres  # a damaged header has none
    if data.dtype.kind not in "biuf" or not data.size or not (holes or finite(data)):
        raise DataError(
            path, f"expected voxels of finite numbers, got {data.dtype} {list(data.shape)} with others"
        )
    return found


def write_nifti(
    path: Path,
    volumes: Iterable[npt.NDArray[Any]],
    *,
    shape: tuple[int, ...],
    dtype: npt.DTypeLike,
    affine: npt.NDArray[np.float64],
    header: Any = None,
    first: tuple[int, int, int] = (0, 0, 0),
) -> None:
    """Write a .nii.gz whose volumes come one by one, so that memory holds one of them.

    Args:
        path: any name; the file is compressed whatever it is.
        volumes: [I, J, K] each, as many as ``shape`` has beyond the third axis.
        shape: (I, J, K) or (I, J, K, n).
        dtype: of the voxels.
        affine: float64 [4, 4], indices to the header's units, RAS.
        header: of a `NiftiFile`, whose place in space is written as it stands there; None is the scanner's space
            in millimetres.
        first: index in that file of the first voxel, where only a part of its grid is written.

    Raises:
        ImportError: nibabel is not installed.
    """
    nibabel = _nibabel()
    kind = nibabel.Nifti1Image if max(shape) <= _MOST_SIDE else nibabel.Nifti2Image
    new = kind.header_class()
    new.set_data_dtype(dtype)
    new.set_data_shape(shape)
    if header is None:
        new.set_xyzt_units("mm")
        new.set_sform(affine, "scanner")
        new.set_qform(affine, "scanner")
    else:
        _place_as(new, header, first)
    new["vox_offset"] = new.single_vox_offset
    new["magic"] = new.single_magic
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 1, raw, mtime=0) as stream:
        stream.write(new.binaryblock)
        stream.write(bytes(new.single_vox_offset - len(new.binaryblock)))
        for volume in volumes:
            stream.write(np.asarray(volume, new.get_data_dtype()).tobytes("F"))


def _nibabel() -> Any:
    try:
        import nibabel
    except ImportError as error:
        raise missing_package("nibabel", "reading and writing NIfTI") from error
    return nibabel


def _place_as(new: Any, header: Any, first: tuple[int, int, int]) -> None:
    """Say where a volume lies by the very numbers of another header, moved to the voxel ``first`` of it."""
    for name in _PLACE:
        new[name] = header[name]
    new["pixdim"][:4] = header["pixdim"][:4]
    new.set_xyzt_units(header.get_xyzt_units()[0])
    if header["sform_code"]:
        for name, place in zip(_ROWS, header.get_sform() @ (*first, 1), strict=False):
            new[name][3] = place
    if header["qform_code"]:
        try:
            offset = header.get_qform() @ (*first, 1)
        except ValueError:  # no rotation; the sform is what counts then
            new["qform_code"] = 0
            return
        for name, place in zip(_OFFSETS, offset, strict=False):
            new[name] = place


def _scaled(stored: npt.NDArray[Any], slope: float, intercept: float) -> npt.NDArray[np.float32]:
    """In float32, a part at a time: nibabel makes float64 of the whole."""
    out = np.empty(stored.shape, np.float32, order="F")
    for k in range(stored.shape[-1]):
        out[..., k] = stored[..., k] * slope + intercept
    return out


def _check_size(path: Path, volume: Any) -> None:
    """Raise ValueError where a header asks for more memory than its file can fill."""
    count = int(np.prod([int(side) for side in volume.shape], dtype=object))
    claimed = count * volume.get_data_dtype().itemsize
    if claimed > _MOST_INFLATED * path.stat().st_size or max(claimed, 4 * count) > MAX_BYTES:
        raise ValueError(f"its header asks for {claimed:,} bytes, shape {list(volume.shape)}")


def finite(data: npt.NDArray[Any]) -> bool:
    """Whether all numbers are finite, looked at in parts: a whole mask would take memory of its own."""
    return data.dtype.kind != "f" or all(np.isfinite(part).all() for part in data)


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Without the lines that nibabel prints beside its errors."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
