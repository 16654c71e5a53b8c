"""What is known of DICOM's frames before their pixels are read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.file_errors import DataError, damage_told
from asam_trt.nifti_files import MAX_BYTES
from asam_trt.pictures import Window

Float64Array = npt.NDArray[np.float64]

_GREY = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True, eq=False)
class Plane:
    """One frame; lengths in mm, None where the file does not say."""

    path: Path
    frame: int
    shape: tuple[int, int]
    photometric: str
    position: Float64Array | None  # of the first pixel, in DICOM's space: left, posterior, superior
    directions: Float64Array | None  # [2, 3], of growing columns and of growing rows
    spacing: tuple[float, float] | None  # of rows and of columns
    thickness: float | None
    scale: tuple[float, float]  # slope, intercept
    window: Window | None


def planes_of(path: Path, header: Any) -> list[Plane]:
    if "Rows" not in header:
        raise DataError(path, "expected a DICOM image, came a file without pixels")
    with damage_told(path, "expected the header of a DICOM image, came a damaged one"):
        colours = str(header.get("PhotometricInterpretation", "MONOCHROME2"))
        if header.get("SamplesPerPixel", 1) != 1 or colours not in _GREY:
            raise DataError(path, f"expected grey values, came {colours}", "export it as a PNG")
        h, w, frames = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames") or 1)
        if min(h, w, frames) < 1:
            raise ValueError(f"{frames} frames of {w} x {h} (w x h)")
        if 4 * frames * h * w > MAX_BYTES:
            raise ValueError(f"{frames} frames of {w} x {h} (w x h), more than can be meant")
        return [_plane(path, header, frame, (h, w), frames) for frame in range(frames)]


def _plane(path: Path, header: Any, frame: int, shape: tuple[int, int], frames: int) -> Plane:
    def said(name: str, group: str) -> Any:
        for places in (header.get("PerFrameFunctionalGroupsSequence", [])[frame : frame + 1],
                       header.get("SharedFunctionalGroupsSequence", [])[:1]):  # fmt: skip
            for place in places:
                if name in (found := (place.get(group) or [{}])[0]):
                    return found[name].value
        # Beside the groups the frames of a film have one position, which is none.
        return None if frames > 1 and name == "ImagePositionPatient" else header.get(name)

    def numbers(name: str, group: str, count: int) -> Float64Array | None:
        value = said(name, group)
        if value is None or (isinstance(value, str) and not value) or np.size(value) == 0:
            return None
        found = np.array(value, np.float64).reshape(-1)
        if len(found) < count or not np.isfinite(found).all():
            raise ValueError(f"{name} of {value}")
        return found[:count]

    directions = numbers("ImageOrientationPatient", "PlaneOrientationSequence", 6)
    spacing = numbers("PixelSpacing", "PixelMeasuresSequence", 2)
    if spacing is not None and spacing.min() <= 0:
        raise ValueError(f"PixelSpacing of {spacing.tolist()}")
    if directions is not None:
        directions = directions.reshape(2, 3)
        if np.abs(directions @ directions.T - np.eye(2)).max() > 0.01:
            raise ValueError(f"ImageOrientationPatient of {directions.ravel().tolist()}")
    thickness = numbers("SliceThickness", "PixelMeasuresSequence", 1)
    centre, width = (numbers(name, "FrameVOILUTSequence", 1) for name in ("WindowCenter", "WindowWidth"))
    slope, intercept = (
        numbers(name, "PixelValueTransformationSequence", 1) for name in ("RescaleSlope", "RescaleIntercept")
    )
    return Plane(
        path,
        frame,
        shape,
        str(header.get("PhotometricInterpretation", "MONOCHROME2")),
        numbers("ImagePositionPatient", "PlanePositionSequence", 3) if spacing is not None else None,
        directions,
        None if spacing is None else (float(spacing[0]), float(spacing[1])),
        float(thickness[0]) if thickness is not None and thickness[0] > 0 else None,
        (1.0 if slope is None else float(slope[0]), 0.0 if intercept is None else float(intercept[0])),
        None
        if centre is None or width is None or width[0] <= 0
        else (float(centre[0] - width[0] / 2), float(centre[0] + width[0] / 2)),
    )
