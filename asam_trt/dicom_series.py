"""The series in a folder of DICOM files: which there are, and which one is meant."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from asam_trt.counting import counted
from asam_trt.dicom_planes import Plane, planes_of
from asam_trt.file_errors import DataError

_MOST_LISTED = 40
_LAST = 1 << 31  # a series without a number stands after the others


@dataclass(frozen=True, eq=False)
class Series:
    """Files of one series.

    Attributes:
        uid: their SeriesInstanceUID; "" where they have none.
        files: each with its header.
    """

    uid: str
    files: list[tuple[Path, Any]]

    @property
    def number(self) -> int | None:
        """Their SeriesNumber."""
        with suppress(Exception):  # pydicom reads values when asked, and damaged ones raise anything
            return int(self.files[0][1].SeriesNumber)
        return None

    @property
    def description(self) -> str:
        """Their SeriesDescription; "" where they have none."""
        with suppress(Exception):
            return str(self.files[0][1].SeriesDescription).strip()
        return ""

    def __str__(self) -> str:
        number = "" if self.number is None else f", series number {self.number}"
        return f"{self.description or 'no description'}{number}, {self._size()}"

    def _size(self) -> str:
        try:
            planes = [plane for path, header in self.files for plane in planes_of(path, header)]
        except DataError:  # in colour, say
            return f"{counted(len(self.files), 'file')}, no grey slices"
        slices = counted(len(planes), "slice")
        if planes[0].spacing is None:
            return slices
        sides = [side for side in (_step(planes), *planes[0].spacing) if side is not None]
        return f"{slices} of {' x '.join(f'{side:.3g}' for side in sides)} mm"


def chosen(folder: Path, files: dict[str, list[tuple[Path, Any]]], asked: int | str | None) -> Series:
    """The series that is asked for, or the only one.

    Args:
        files: by SeriesInstanceUID, at least one.
        asked: that UID, or the number in the list of the errors, from 1: by SeriesNumber, then by UID.

    Raises:
        TypeError: ``asked`` is something else.
        DataError: several and none asked for, or none that is asked for; it lists them.
    """
    if isinstance(asked, bool) or not isinstance(asked, (int, str, type(None))):
        raise TypeError(
            f"series: expected a SeriesInstanceUID or a number of the list, came {type(asked).__name__}"
        )
    found = [Series(uid, some) for uid, some in files.items()]
    if asked is None and len(found) == 1:
        return found[0]
    found.sort(key=lambda one: (_LAST if one.number is None else one.number, one.uid))
    for number, one in enumerate(found, start=1):
        if asked is not None and str(asked) in (one.uid, str(number)):
            return one
    listed = "; ".join(f"[{number}] {one}" for number, one in enumerate(found[:_MOST_LISTED], start=1))
    more = len(found) - _MOST_LISTED
    listed += f"; and {more} more" if more > 0 else ""
    if asked is None:
        problem = f"expected the images of one DICOM series, came {len(found)}: {listed}"
    else:
        problem = f"expected one of its {len(found)} DICOM series, came {asked}: {listed}"
    raise DataError(
        folder, problem, "choose one by its number here or by its SeriesInstanceUID, such as series=1"
    )


def _step(planes: list[Plane]) -> float | None:
    """Millimetres from slice to slice; None where nothing says."""
    places = [(plane.position, plane.directions) for plane in planes]
    if len(planes) < 2:
        return planes[0].thickness
    along = [
        float(position @ np.cross(*directions))
        for position, directions in places
        if position is not None and directions is not None
    ]
    return float(np.median(np.diff(np.sort(along)))) if len(along) > 1 else planes[0].thickness
