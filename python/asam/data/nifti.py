"""NIfTI volumes through nibabel, with errors that name the file."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam.data.errors import DataError, damage_told, missing_package
from asam.data.files import check_regular

__all__ = ["read_nifti"]


def read_nifti(path: Path) -> tuple[NDArray[Any], tuple[float, ...]]:
    """The array as stored (scaled where the header says so) and the voxel sizes in millimetres.

    Raises:
        DataError: missing, truncated, damaged or not NIfTI, or with voxels that are no numbers.
        ImportError: nibabel is not installed.
    """
    try:
        import nibabel
    except ImportError as error:
        raise missing_package("nibabel", "reading NIfTI") from error
    check_regular(path)
    with damage_told(path, "truncated, damaged or not NIfTI"), _silent(nibabel.imageglobals.logger):
        volume: Any = nibabel.load(path)
        data = np.asarray(volume.dataobj)
        zooms = tuple(float(size) for size in volume.header.get_zooms())
    if data.dtype.kind not in "biuf" or not data.size or not np.isfinite(data).all():
        raise DataError(
            path, f"expected voxels of finite numbers, got {data.dtype} {list(data.shape)} with others"
        )
    return data, zooms


@contextmanager
def _silent(logger: logging.Logger) -> Iterator[None]:
    """Without the lines that nibabel prints beside its errors."""
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
