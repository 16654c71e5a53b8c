"""Scans that tests write themselves: DICOM slices, and affines of any orientation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np


def affine_of(
    axes: tuple[int, ...], signs: tuple[int, ...], sizes: tuple[float, ...], turn: float = 0.0
) -> Any:
    """float64 [4, 4]: file axis a runs along world axis axes[a] with a sign and a size; turned about z and x.

    Args:
        turn: radians.
    """
    affine = np.eye(4)
    affine[:3, :3] = 0
    for axis in range(3):
        affine[axes[axis], axis] = signs[axis] * sizes[axis]
    c, s = np.cos(turn), np.sin(turn)
    about = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    affine[:3, :3] = about @ affine[:3, :3]
    affine[:3, 3] = 12.5, -30.25, 70
    return affine


def write_dicom(path: Path, pixels: np.ndarray, *, syntax: str | None = None, **attributes: Any) -> Path:
    """One image [H, W] of integers; attributes of DICOM by their names, None leaves one out."""
    import pydicom
    from pydicom.dataset import FileDataset, FileMetaDataset

    uid = f"1.2.3.{abs(hash(path)) % 10**9}"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    meta.MediaStorageSOPInstanceUID = uid
    meta.TransferSyntaxUID = syntax or pydicom.uid.ExplicitVRLittleEndian
    header = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    values = {
        "SOPClassUID": meta.MediaStorageSOPClassUID,
        "SOPInstanceUID": uid,
        "SeriesInstanceUID": "1.2.3",
        "Modality": "CT",
        "Rows": pixels.shape[-2],
        "Columns": pixels.shape[-1],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": 8 * pixels.itemsize,
        "HighBit": 8 * pixels.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "PixelSpacing": [0.5, 0.75],
        "SliceThickness": 2.5,
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
        "ImagePositionPatient": [-10, -20, 30],
        **attributes,
    }
    for name, value in values.items():
        if value is not None:
            setattr(header, name, value)
    header.PixelData = pixels.tobytes()
    header.save_as(path, enforce_file_format=True)
    return path


def write_series(
    folder: Path, stack: np.ndarray, *, step: float = 2.5, skip: tuple[int, ...] = (), **attributes: Any
) -> Path:
    """Slices [D, H, W] along z, in files whose names say nothing of their order."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, pixels in enumerate(stack):
        if i not in skip:
            position = [-10, -20, 30 + step * i]
            write_dicom(
                folder / f"IM{(7 * i + 3) % 101:04}.dcm", pixels, ImagePositionPatient=position, **attributes
            )
    return folder
