"""What a command sees of a photo or of a slice of a scan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam.cli._coordinates import Box, Points
from asam.cli._wording import counted
from asam_trt.canvas import Region
from asam_trt.crops import region_around, shifted
from asam_trt.dicom_files import is_dicom
from asam_trt.hypotheses import Area
from asam_trt.image_files import read_image_file
from asam_trt.intensities import OutsideWindow
from asam_trt.pictures import Window
from asam_trt.volume import Volume
from asam_trt.volume_files import is_volume, read_volume


@dataclass(frozen=True, eq=False)
class Seen:
    """A picture that is asked about.

    Attributes:
        pixels: uint8 or float32 [H, W, 3].
        remarks: what is to be told of its file.
        volume: the scan that it is a slice of; None of an image file.
        index: of the slice.
        region: (x0, y0, x1, y1) of the slice that ``pixels`` are; None of an image file.
        window: that it is seen through.
    """

    pixels: npt.NDArray[Any]
    remarks: list[str]
    volume: Volume | None = None
    index: int = 0
    region: Region | None = None
    window: Window | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the whole image or slice."""
        return (self.pixels.shape[0], self.pixels.shape[1]) if self.volume is None else self.volume.size

    def inside(self, places: Any) -> Any:
        """A box or points of the image or slice in ``pixels``; what is None or empty stays."""
        return shifted(places, self.region).tolist() if places and self.region is not None else places

    def place(self) -> str | None:
        """Which part of which slice ``pixels`` are and through which window, in words; None of an image file."""
        if self.region is None or self.volume is None:
            return None
        plane = "" if self.volume.grid.plane is None else f"{self.volume.grid.plane} "
        h, w = self.size
        corners = " ".join(map(str, self.region))
        window = "" if self.window is None else ", window {:g} to {:g}".format(*self.window)
        return f"{plane}slice {self.index}, pixels {corners} (x0 y0 x1 y1) of {w} x {h} (w x h){window}"

    def part(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """A mask [H, W] of the image or slice where ``pixels`` are."""
        x0, y0, x1, y1 = self.region or (0, 0, mask.shape[1], mask.shape[0])
        return mask[y0:y1, x0:x1]


def read_seen(
    path: Path,
    index: int | None,
    window: Window | None,
    *,
    series: str | None,
    plane: str | None,
    crop: int | None,
    box: Box,
    points: Points,
) -> Seen:
    """An image file, or slice ``index`` of a scan, through a window; of a scan the part around a prompt, if asked.

    Raises:
        ValueError: the file cannot be read; a volume without a slice, or one that it does not have; what is of scans
            alone with an image file; a crop without a prompt; a window that is missing or holds none of the values.
        ImportError: a scan whose package is not installed.
    """
    if not is_volume(path):
        for option, given in (("slice", index), ("series", series), ("plane", plane), ("crop", crop)):
            if given is not None:
                raise ValueError(f"expected no --{option} with an image file, came {given} with {path}")
        found = read_image_file(path, window)
        return Seen(found.pixels, found.remarks)
    volume = read_volume(path, series=series, plane=plane)
    index = checked_slice(volume, index)
    try:
        x0, y0, x1, y1 = region = region_around(volume.size, crop, box=box, point_coords=points or None)
        pixels = volume.picture(index, window)[y0:y1, x0:x1]
    except OutsideWindow as error:
        raise ValueError(str(error)) from error
    return Seen(pixels, remarks_on(volume, window), volume, index, region, window or volume.window)


def checked_slice(volume: Volume, index: int | None) -> int:
    """The number of a slice; a scan of one slice needs none.

    Raises:
        ValueError: none was given, or one that the scan does not have.
    """
    if index is None and len(volume) == 1:
        return 0
    if index is None or not 0 <= index < len(volume):
        path = Path(volume.name)
        one = len(volume) == 1 and path.is_file() and is_dicom(path)
        raise ValueError(
            f"{volume.name}: expected --slice from 0 to {len(volume) - 1}, came "
            f"{'none' if index is None else index}: it has {counted(len(volume), 'slice')}"
            + ("; give its folder to read the whole series" if one else "")
        )
    return index


def remarks_on(volume: Volume, window: Window | None) -> list[str]:
    """What is unusual in a scan, and the window that is taken where none was given."""
    own = [] if window is not None or volume.window is None else [volume.window]
    return [
        *volume.remarks,
        *(
            f"seen through the file's own window, {low:g} to {high:g}: --window takes another"
            for low, high in own
        ),
    ]


def area_in_mm2(area: Area, volume: Volume) -> str | None:
    """Areas of hypotheses in mm2, in words; None where the scan does not say how large its pixels are."""
    if volume.pixel_mm2 is None:
        return None
    middle, low, high = (f"{v * volume.pixel_mm2:.4g}" for v in (area.median, area.low, area.high))
    return f"area in mm2: median {middle}, {area.level:.0%} within {low} to {high}"


def stem(path: Path) -> str:
    """A file's name without its ending, of which .nii.gz is one."""
    return (
        path.name[: -len(".nii.gz")]
        if path.name.lower().endswith(".nii.gz")
        else path.stem or path.resolve().name
    )
