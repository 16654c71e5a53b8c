"""LIDC-IDRI as published: DICOM slices and the radiologists' XML, read directly."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from asam.data.errors import DataError, damage_told
from asam.data.files import FileDataset, check_regular, listing
from asam.data.lidc_xml import Annotation, Reading, cluster, fill, read_xml
from asam.data.sample import Sample
from asam_trt.dicom_files import load_pydicom
from asam_trt.intensities import scaled

__all__ = ["LidcDicom"]

_PATIENT: Final = re.compile(r"^LIDC-IDRI-\d{4}$")
HU_WINDOW: Final = (-1000.0, 400.0)
_EXPECTED = "LIDC-IDRI-<nnnn>/<study>/<series>/*.dcm with the scan's .xml beside the slices or below root"
_TAGS: Final = (
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "PatientID",
    "PixelSpacing",
    "SliceThickness",
    "ImagePositionPatient",
    "Rows",
    "Columns",
)


@dataclass(frozen=True)
class _Slice:
    path: Path
    uid: str
    series: str
    patient: str
    z: float
    spacing: tuple[float, float]
    thickness: float
    shape: tuple[int, int]


@dataclass(frozen=True, eq=False)
class _Nodule:
    id: str
    group: str
    slice: _Slice
    centre: tuple[int, int]  # (y, x) of the whole nodule, in pixels
    readers: int
    annotations: tuple[Annotation, ...]


class LidcDicom(FileDataset[_Nodule]):
    """Nodule crops, one for each nodule and slice, one mask for each reader of the scan; grouped by patient.

    A reader who outlined nothing in the slice has the empty mask; `Sample.seen` marks those who outlined the
    nodule in some slice. Annotations are joined to nodules by pylidc's rule, but without pylidc, whose last
    release imports neither with NumPy 1.24 or newer nor with current setuptools.

    Args:
        root: folder of the collection, searched to any depth.
        crop: side of the square crop in pixels, centred on the nodule; outside the scan it is air.
        resolution: millimetres of a pixel of the crop; None keeps the scan's own pixels.
        min_readers: leave out slices that fewer readers outlined.
        empty: "keep" or "drop" the empty masks.
        report: see `FileDataset`.

    Raises:
        ImportError: pydicom is not installed.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        crop: int = 128,
        resolution: float | None = 0.5,
        min_readers: int = 1,
        empty: Literal["keep", "drop"] = "keep",
        report: list[DataError] | None = None,
    ) -> None:
        if crop < 16 or not 1 <= min_readers <= 4 or (resolution is not None and resolution <= 0):
            raise ValueError(
                "need crop >= 16, 1 <= min_readers <= 4 and resolution > 0 or None; "
                f"got {crop}, {min_readers}, {resolution}"
            )
        if empty not in ("keep", "drop"):
            raise ValueError(f"empty: expected 'keep' or 'drop', got {empty!r}")
        self._crop, self._resolution, self._empty = crop, resolution, empty
        folder = Path(root)
        problems: list[DataError] = []
        readings = _readings(folder, problems)
        entries: list[_Nodule] = []
        if readings:
            series = _series(folder, set(readings), problems)
            for uid, reading in readings.items():
                entries.extend(_nodules(reading, series.get(uid, {}), min_readers, problems))
        super().__init__(folder, entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format: a patient's folder, or one that holds such folders."""
        patients = [root, *listing(root)]
        return any(_PATIENT.match(path.name) and next(path.rglob("*.dcm"), None) for path in patients)

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        values = _pixels(entry.slice.path)
        masks = np.zeros((entry.readers, *entry.slice.shape), dtype=np.bool_)
        seen = np.zeros(entry.readers, dtype=np.bool_)
        for annotation in entry.annotations:
            seen[annotation.reader] = True
            here = [contour for contour in annotation.contours if contour.uid == entry.slice.uid]
            masks[annotation.reader] |= fill(here, entry.slice.shape)
        if self._empty == "drop" and masks.any():
            kept = masks.any(axis=(1, 2))
            masks, seen = masks[kept], seen[kept]
        at, spacing = self._grid(entry)
        image = map_coordinates(values, at, order=1, mode="constant", cval=HU_WINDOW[0], prefilter=False)
        nearest = np.rint(at).astype(np.intp)
        rows, columns = (np.clip(axis, 0, size - 1) for axis, size in zip(nearest, values.shape, strict=True))
        inside = (nearest[0] == rows) & (nearest[1] == columns)
        return Sample.of(
            scaled(image, *HU_WINDOW),
            masks[:, rows, columns] & inside,
            id=entry.id,
            group=entry.group,
            seen=seen,
            spacing=spacing,
        )

    def _grid(self, entry: _Nodule) -> tuple[NDArray[np.float64], tuple[float, float]]:
        """Where the crop's pixels lie in the slice, [2, crop, crop], and their spacing."""
        own = entry.slice.spacing
        spacing = own if self._resolution is None else (self._resolution, self._resolution)
        steps = np.arange(self._crop) - self._crop // 2
        axes = [c + steps * new / old for c, new, old in zip(entry.centre, spacing, own, strict=True)]
        return np.stack(np.meshgrid(*axes, indexing="ij")), spacing


def _readings(root: Path, problems: list[DataError]) -> dict[str, Reading]:
    readings: dict[str, Reading] = {}
    for path in sorted(root.rglob("*.xml")):
        try:
            reading = read_xml(path)
        except DataError as error:
            problems.append(error)
            continue
        if reading is not None:
            readings[reading.series] = reading
    return readings


def _series(root: Path, wanted: set[str], problems: list[DataError]) -> dict[str, dict[str, _Slice]]:
    """series uid -> slice uid -> slice, by the headers alone."""
    pydicom = load_pydicom()
    found: dict[str, dict[str, _Slice]] = {}
    for path in sorted(root.rglob("*.dcm")):
        try:
            header = _header(path, pydicom)
        except DataError as error:
            problems.append(error)
            continue
        if header.series in wanted:
            found.setdefault(header.series, {})[header.uid] = header
    return found


def _header(path: Path, pydicom: Any) -> _Slice:
    check_regular(path)
    with damage_told(path, "truncated or not a CT slice"):
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        row, column = (float(value) for value in header.PixelSpacing)
        found = _Slice(
            path=path,
            uid=str(header.SOPInstanceUID),
            series=str(header.SeriesInstanceUID),
            patient=str(header.PatientID),
            z=float(header.ImagePositionPatient[2]),
            spacing=(row, column),
            thickness=float(header.SliceThickness),
            shape=(int(header.Rows), int(header.Columns)),
        )
    sizes = (*found.spacing, found.thickness, *found.shape)
    if not all(0 < size < np.inf for size in sizes) or not np.isfinite(found.z):
        raise DataError(
            path, f"expected a CT slice with a place and sizes above 0, got z {found.z:g} and {sizes}"
        )
    return found


def _nodules(
    reading: Reading, slices: dict[str, _Slice], min_readers: int, problems: list[DataError]
) -> list[_Nodule]:
    if not slices:
        problems.append(
            DataError(reading.path, f"is of series {reading.series}, of which no slice was found")
        )
        return []
    lost = {
        contour.uid
        for annotation in reading.annotations
        for contour in annotation.contours
        if contour.uid not in slices
    }
    if lost:
        problems.append(
            DataError(reading.path, f"outlines {len(lost)} slices that are missing ({min(lost)}, ...)")
        )
    first = next(iter(slices.values()))
    nodules = []
    for number, members in enumerate(cluster(reading, first.spacing[0], first.thickness)):
        points = np.concatenate([contour.points for item in members for contour in item.contours])
        x, y = ((points.min(axis=0) + points.max(axis=0)) // 2).tolist()  # whole: no needless resampling
        outlined = {contour.uid for item in members for contour in item.contours} & set(slices)
        for place in sorted((slices[uid] for uid in outlined), key=lambda item: item.z):
            marked = {
                item.reader for item in members for contour in item.contours if contour.uid == place.uid
            }
            if len(marked) >= min_readers:
                name = f"{place.patient}/{reading.series[-12:]}/n{number}/z{place.z:g}"
                nodules.append(_Nodule(name, place.patient, place, (y, x), reading.readers, tuple(members)))
    return nodules


def _pixels(path: Path) -> NDArray[np.float32]:
    """Hounsfield units [H, W]."""
    pydicom = load_pydicom()
    with damage_told(path, "pixels cannot be read"):  # decoders of compressed pixels raise their own types
        header = pydicom.dcmread(path)
        raw = header.pixel_array.astype(np.float32)
        slope, offset = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
    values: NDArray[np.float32] = raw * np.float32(slope) + np.float32(offset)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise DataError(path, f"expected one slice of finite numbers, got {list(values.shape)} with others")
    return values
