"""The radiologists' readings of an LIDC-IDRI scan: contours from XML, and which of them are one nodule."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from asam.data.errors import DataError
from asam.data.files import check_regular

__all__ = ["Annotation", "Contour", "Reading", "cluster", "fill", "read_xml"]

_NS: Final = "{http://www.nih.gov}"
_RATERS: Final = 4
_SHRINK: Final = 0.9  # of the tolerance, while a cluster has more annotations than there are readers


@dataclass(frozen=True, eq=False)
class Contour:
    """One closed outline in one slice: the first pixels *outside* the nodule.

    Attributes:
        z: position of the slice in millimetres.
        uid: SOP instance UID of the slice.
        points: int32 [k, 2], x and y in pixels.
        inclusion: False for the outline of a hole.
    """

    z: float
    uid: str
    points: NDArray[np.int32]
    inclusion: bool


@dataclass(frozen=True, eq=False)
class Annotation:
    """One reader's outlines of one nodule of at least 3 mm."""

    reader: int
    contours: tuple[Contour, ...]


@dataclass(frozen=True, eq=False)
class Reading:
    """What one XML file says about one scan."""

    path: Path
    series: str
    readers: int
    annotations: tuple[Annotation, ...]


def read_xml(path: Path) -> Reading | None:
    """The reading in an LIDC XML file, or None where the file is another kind of XML (the set has some).

    Raises:
        DataError: truncated, or a nodule without the fields it must have.
    """
    check_regular(path)
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise DataError(path, f"truncated or not XML ({error})", "copy the file again") from error
    if root.tag != f"{_NS}LidcReadMessage":
        return None
    series = root.findtext(f"{_NS}ResponseHeader/{_NS}SeriesInstanceUid")
    if not series:
        raise DataError(path, "names no SeriesInstanceUid")
    sessions = root.findall(f"{_NS}readingSession")
    annotations = []
    for reader, session in enumerate(sessions):
        for nodule in session.findall(f"{_NS}unblindedReadNodule"):
            try:
                contours = tuple(_contour(roi) for roi in nodule.findall(f"{_NS}roi"))
            except (TypeError, ValueError) as error:
                name = nodule.findtext(f"{_NS}noduleID")
                raise DataError(path, f"nodule {name} has an incomplete roi ({error})") from error
            # A single point marks a nodule below 3 mm: a place, not an outline.
            contours = tuple(contour for contour in contours if len(contour.points) > 2)
            if contours:
                annotations.append(Annotation(reader, contours))
    return Reading(path, series.strip(), len(sessions), tuple(annotations))


def _contour(roi: ElementTree.Element) -> Contour:
    points = [
        (int(edge.findtext(f"{_NS}xCoord") or "none"), int(edge.findtext(f"{_NS}yCoord") or "none"))
        for edge in roi.findall(f"{_NS}edgeMap")
    ]
    return Contour(
        z=float(roi.findtext(f"{_NS}imageZposition") or "none"),
        uid=(roi.findtext(f"{_NS}imageSOP_UID") or "").strip(),
        points=np.array(points, dtype=np.int32).reshape(-1, 2),
        inclusion=(roi.findtext(f"{_NS}inclusion") or "TRUE").strip().upper() == "TRUE",
    )


def cluster(reading: Reading, spacing: float, thickness: float) -> list[list[Annotation]]:
    """Annotations of the same nodule together, by the rule of pylidc's `cluster_annotations`.

    Two annotations belong together where their contour points come within one slice thickness of each other;
    while a cluster holds more annotations than there are readers, the tolerance shrinks.

    Args:
        reading: the annotations.
        spacing: millimetres of a pixel.
        thickness: millimetres of a slice.
    """
    annotations = reading.annotations
    if not annotations:
        return []
    trees = [cKDTree(_points(annotation, spacing)) for annotation in annotations]
    count = len(annotations)
    distance = np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1, count):
            distance[i, j] = distance[j, i] = trees[i].query(trees[j].data)[0].min()
    tolerance = thickness
    while True:
        _, labels = connected_components(distance <= tolerance, directed=False)
        if np.bincount(labels).max() <= _RATERS or tolerance < 0.1:
            break
        tolerance *= _SHRINK
    return [
        [annotation for annotation, own in zip(annotations, labels, strict=True) if own == label]
        for label in range(int(labels.max()) + 1)
    ]


def _points(annotation: Annotation, spacing: float) -> NDArray[np.float64]:
    return np.concatenate(
        [
            np.column_stack([contour.points * spacing, np.full(len(contour.points), contour.z)])
            for contour in annotation.contours
        ]
    )


def fill(contours: list[Contour], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """bool [H, W]: the pixels strictly inside the inclusions and not inside an exclusion.

    The outline itself is not part of the nodule: the readers marked the first pixels outside it.
    """
    mask = np.zeros(shape, dtype=np.bool_)
    for contour in sorted(contours, key=lambda item: not item.inclusion):
        canvas = Image.new("1", (shape[1], shape[0]))
        corners = [(int(x), int(y)) for x, y in contour.points]
        # Filled with its outline, then the outline wiped: a polygon filled without one still touches its
        # edges.
        draw = ImageDraw.Draw(canvas)
        draw.polygon(corners, fill=1, outline=1)
        inner = np.asarray(canvas).copy()
        if contour.inclusion:
            draw.line([*corners, corners[0]], fill=0)
            mask |= np.asarray(canvas)
        else:
            mask &= ~inner
    return mask
