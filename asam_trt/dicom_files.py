"""DICOM images through pydicom: one file, or the slices of a series in a folder, as a stack in space."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.counting import counted
from asam_trt.dicom_planes import Float64Array, Plane, planes_of
from asam_trt.dicom_series import chosen
from asam_trt.file_errors import DataError, check_regular, damage_told, missing_package
from asam_trt.grid import Affine
from asam_trt.nifti_files import MAX_BYTES, finite
from asam_trt.pictures import Window

_UNEVEN = 0.25  # of the distance of slices: positions are rounded in many files
_APART = 1e-3  # mm; slices that are nearer share a position
_TURNED = 1e-3  # of a direction cosine
_TILT = 1.0  # degrees


@dataclass(frozen=True, eq=False)
class DicomStack:
    """Slices in the order of their positions along the normal.

    Attributes:
        values: [D, H, W], slope and intercept applied (float32), or as stored where there are none.
        affine: float64 [4, 4], (column, row, slice, 1) to RAS in millimetres; None without positions.
        spacing: mm of slice, row and column of a single image without a position; None where there are none.
        window: (low, high) that the slice in the middle asks for.
        white_low: the values are MONOCHROME1's, of which low ones are white.
        remarks: what is unusual, in words.
    """

    values: npt.NDArray[Any]
    affine: Affine | None
    spacing: tuple[float, float, float] | None
    window: Window | None
    white_low: bool
    remarks: tuple[str, ...]


def read_dicom(path: Path, series: int | str | None = None) -> DicomStack:
    """A DICOM file of one or more frames, or a folder that holds the slices of a series.

    Args:
        series: which one of a folder, see `asam_trt.dicom_series.chosen`.

    Raises:
        DataError: unreadable, damaged, in colour or larger than can be meant; of a folder also no image in it, several
            series and none chosen, slices of several sizes or directions, at one place, or with one missing.
        ImportError: pydicom is not installed.
    """
    pydicom = load_pydicom()
    remarks: list[str] = []
    planes = (
        _of_folder(path, pydicom, series, remarks)
        if path.is_dir()
        else planes_of(path, _header(path, pydicom))
    )
    _check_alike(path, planes)
    h, w = planes[0].shape
    if 4 * len(planes) * h * w > MAX_BYTES:
        raise DataError(
            path, f"expected a scan of at most {MAX_BYTES:,} bytes, came {len(planes)} x {h} x {w}"
        )
    affine, spacing = None, None
    if all(plane.position is not None and plane.directions is not None for plane in planes):
        planes, affine = _in_space(path, planes, remarks)
    elif len(planes) > 1 and path.is_dir():
        raise DataError(path, "expected slices with positions (ImagePositionPatient), came some without")
    if affine is None and len(planes) == 1 and planes[0].spacing is not None:
        spacing = (_thickness(planes[0], remarks), *planes[0].spacing)
    return DicomStack(
        _values(path, planes, pydicom),
        affine,
        spacing,
        planes[len(planes) // 2].window,
        planes[0].photometric == "MONOCHROME1",
        tuple(remarks),
    )


def load_pydicom() -> Any:
    """The package.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import pydicom
    except ImportError as error:
        raise missing_package("pydicom", "reading DICOM") from error
    return pydicom


def read_pixels(path: Path, pydicom: Any) -> npt.NDArray[Any]:
    """Pixels as stored, [H, W] or [frames, H, W] of grey ones.

    Raises:
        DataError: they cannot be read.
    """
    compressed = False
    try:
        with damage_told(path, "pixels cannot be read"):  # decoders raise their own types
            dataset = pydicom.dcmread(path)
            compressed = bool(dataset.file_meta.TransferSyntaxUID.is_compressed)
            return np.asarray(dataset.pixel_array)
    except DataError as error:
        if not compressed:
            raise
        remedy = "copy the file again, or install what decodes it: pip install 'pylibjpeg[all]'"
        raise DataError(path, error.problem, remedy) from error


def _header(path: Path, pydicom: Any) -> Any:
    check_regular(path)
    with damage_told(path, "truncated, damaged or not DICOM"):
        return pydicom.dcmread(path, stop_before_pixels=True)


def _of_folder(folder: Path, pydicom: Any, asked: int | str | None, remarks: list[str]) -> list[Plane]:
    series: dict[str, list[tuple[Path, Any]]] = {}
    others = 0
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or path.name.upper() == "DICOMDIR":
            continue
        if not is_dicom(path):
            others += 1
            continue
        header = _header(path, pydicom)
        if "Rows" in header:
            series.setdefault(str(header.get("SeriesInstanceUID", "")), []).append((path, header))
        else:
            others += 1
    if not series:
        inner = next((path for path in sorted(folder.iterdir()) if _holds_dicom(path)), None)
        raise DataError(
            folder,
            "expected a folder with the images of a DICOM series, came none in it",
            f"give one of its folders, such as {inner}" if inner else "",
        )
    found = chosen(folder, series, asked)
    if others:
        remarks.append(f"left out: {counted(others, 'file')} of the folder without a DICOM image")
    return [plane for path, header in found.files for plane in planes_of(path, header)]


def _holds_dicom(folder: Path) -> bool:
    with suppress(OSError):
        return folder.is_dir() and any(is_dicom(path) for path in folder.iterdir() if path.is_file())
    return False


def is_dicom(path: Path) -> bool:
    """Whether a file is to be read as DICOM: by its name, or by the bytes that mark it, at byte 128."""
    if path.suffix.lower() in (".dcm", ".ima"):
        return True
    try:
        if not path.is_file():
            return False  # a pipe would be waited for
        with path.open("rb") as stream:
            return stream.read(132)[128:] == b"DICM"
    except OSError:
        return False


def _check_alike(path: Path, planes: list[Plane]) -> None:
    first = planes[0]

    def differ(what: str, one: object, other: object, plane: Plane) -> DataError:
        return DataError(
            path,
            f"expected slices of one {what}, came {one} ({first.path.name}) and {other} ({plane.path.name})",
            "copy those that belong together to a folder of their own",
        )

    for plane in planes[1:]:
        if plane.shape != first.shape:
            raise differ("size (h, w)", first.shape, plane.shape, plane)
        if plane.photometric != first.photometric:
            raise differ("photometric interpretation", first.photometric, plane.photometric, plane)
        for what, one, other, tolerance in (
            ("pixel spacing", first.spacing, plane.spacing, 1e-4),
            ("direction", first.directions, plane.directions, _TURNED),
        ):
            if (one is None) != (other is None) or (
                one is not None and not np.allclose(one, other, atol=tolerance)  # type: ignore[arg-type]
            ):
                raise differ(what, np.asarray(one).tolist(), np.asarray(other).tolist(), plane)


def _in_space(path: Path, planes: list[Plane], remarks: list[str]) -> tuple[list[Plane], Affine]:
    """Sorted along the normal, and (column, row, slice, 1) -> RAS in mm."""
    directions, spacing = planes[0].directions, planes[0].spacing
    assert directions is not None
    assert spacing is not None  # without it there is no position
    normal = np.cross(directions[0], directions[1])
    positions = np.array([plane.position for plane in planes], np.float64)
    order = np.argsort(positions @ normal, kind="stable")
    planes, positions = [planes[i] for i in order], positions[order]
    if len(planes) > 1:
        _check_even(path, planes, positions @ normal)
        step = (positions[-1] - positions[0]) / (len(planes) - 1)
        tilt = float(np.degrees(np.arccos(min(1.0, float(step @ normal / np.linalg.norm(step))))))
        if tilt > _TILT:
            remarks.append(
                f"slices are shifted against each other by {tilt:.0f} degrees, as of a tilted gantry"
            )
    else:
        step = normal * _thickness(planes[0], remarks)
    affine = np.eye(4)
    affine[:3] = np.stack(
        [directions[0] * spacing[1], directions[1] * spacing[0], step, positions[0]], axis=1
    )
    return planes, np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _check_even(path: Path, planes: list[Plane], along: Float64Array) -> None:
    gaps = np.diff(along)
    i = int(np.argmin(gaps))
    names = [f"{plane.path.name}" + (f" frame {plane.frame}" if plane.frame else "") for plane in planes]
    if gaps[i] < _APART:
        raise DataError(
            path,
            f"expected one slice at each position, came {names[i]} and {names[i + 1]} at {along[i]:.2f} mm",
            "copy the slices of one phase or echo to a folder of their own",
        )
    even = np.linspace(along[0], along[-1], len(along))
    usual = float(np.median(gaps))
    if np.abs(along - even).max() > _UNEVEN * usual:
        i = int(np.argmax(np.abs(gaps - usual)))
        missing = round(gaps[i] / usual) - 1
        raise DataError(
            path,
            f"expected slices {usual:.4g} mm apart, came {gaps[i]:.4g} mm between {names[i]} and {names[i + 1]}"
            + (f": {counted(missing, 'slice')} missing there" if missing > 0 else ""),
            "copy the whole series again" if missing > 0 else "resample it to even slices",
        )


def _thickness(plane: Plane, remarks: list[str]) -> float:
    if plane.thickness is None:
        remarks.append("the file does not say how thick its slice is: 1 mm is taken")
    return plane.thickness or 1.0


def _values(path: Path, planes: list[Plane], pydicom: Any) -> npt.NDArray[Any]:
    h, w = planes[0].shape
    plain = all(plane.scale == (1.0, 0.0) for plane in planes)
    values: npt.NDArray[Any] | None = None
    places: dict[Path, list[int]] = {}
    for i, plane in enumerate(planes):
        places.setdefault(plane.path, []).append(i)
    for file, indices in places.items():
        pixels = read_pixels(file, pydicom)
        least = h * w * (1 + max(planes[i].frame for i in indices))
        if pixels.dtype.kind not in "iuf" or pixels.size < least or pixels.size % (h * w):
            raise DataError(file, f"expected pixels [{h}, {w}], came {pixels.dtype} {list(pixels.shape)}")
        frames = pixels.reshape(-1, h, w)
        if values is None:
            values = np.empty((len(planes), h, w), frames.dtype if plain else np.float32)
        if plain and frames.dtype != values.dtype:
            raise DataError(
                file, f"expected pixels of {values.dtype} as in the other slices, came {frames.dtype}"
            )
        for i in indices:
            slope, intercept = planes[i].scale
            one = frames[planes[i].frame]
            values[i] = one if plain else one.astype(np.float32) * np.float32(slope) + np.float32(intercept)
    assert values is not None
    if not finite(values):
        raise DataError(path, "expected finite values, came others")
    return values
