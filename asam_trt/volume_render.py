"""A picture of an object in a volume: its slices with all outlines, its areas from slice to slice, its sizes."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from asam_trt import canvas, contours, marks, palette, plots
from asam_trt.canvas import Region
from asam_trt.central import central
from asam_trt.counting import counted
from asam_trt.crops import shifted
from asam_trt.geometry import as_image
from asam_trt.histogram import histogram
from asam_trt.intensities import OutsideWindow
from asam_trt.legend import GAP
from asam_trt.volume_hypotheses import VolumeHypotheses, VolumeSlice

_MOST_SLICES = 12
_MOST_OUTLINES = 64
_COLUMNS = 4
_WIDTH = 960
_TEXT = 14
_LINE = _TEXT + 8
_THIN = 0.6  # opacity
_OUTLINE, _MAJORITY = palette.CATEGORIES[0], palette.CATEGORIES[1]


def sheet(found: VolumeHypotheses, *, level: float = 0.9) -> Image.Image:
    """Up to twelve slices, evenly from the first to the last; areas by slice; a histogram of the sizes.

    A slice shows the mean as a tint, the outlines of the hypotheses, and that of the majority thicker; the prompted one
    its box or points too.
    """
    size = found.size(level)
    unit = size.unit
    parts = [_slices(found, level)]
    scale = found.volume.pixel_mm2
    areas = found.areas * (1.0 if scale is None else scale)
    low, middle, high = central(areas, level).tolist()
    parts.append(
        plots.band(
            [float(one.index) for one in found.slices],
            low,
            middle,
            high,
            title=f"area in {'pixels' if scale is None else 'mm2'}: median and the interval of {level:.0%} of "
            f"{counted(len(found), 'hypothesis')}",
            x_label="slice",
            whole=True,
            size=(_WIDTH, 300),
        )
    )
    parts.append(
        histogram(
            size.values,
            marks=(size.low, size.median, size.high),
            title=f"volume in {unit}: median {size.median:.4g}, {level:.0%} within {size.low:.4g} to {size.high:.4g}, "
            f"empty {found.p_empty:.0%}",
            x_label=unit,
            size=(_WIDTH, 300),
        )
    )
    return plots.stacked(parts)


def _slices(found: VolumeHypotheses, level: float) -> Image.Image:
    chosen = _chosen(found)
    held = np.zeros(found.shape, np.bool_)
    for one in found.slices:
        held |= one.masks(found.shape).any(axis=0)
    for x, y in np.clip(_prompt(found), 0, np.array(found.shape[::-1]) - 1).astype(int).tolist():
        held[y, x] = True
    region = canvas.bounds(held)
    across = (_WIDTH - GAP) // _COLUMNS
    size = _cell(region, found.volume.spacing, across - GAP)
    down = size[0] + _LINE + GAP
    top = 2 * _LINE + 2 * GAP
    page = Image.new("RGB", (_WIDTH, top + math.ceil(len(chosen) / _COLUMNS) * down), palette.PAPER)
    draw = ImageDraw.Draw(page)
    unit = "pixels" if found.volume.pixel_mm2 is None else "mm2"
    shown = counted(len(chosen), "slice")
    if len(chosen) < len(found.slices):
        shown = f"{len(chosen)} of {counted(len(found.slices), 'slice')}"
    lines = (
        f"{shown}; below each its number, the median area in {unit} and the interval of {level:.0%}",
        f"orange: each of {counted(len(found), 'hypothesis')}, as a tint their share; blue: what half of them hold; "
        "white: the prompt",
    )
    for i, words in enumerate(lines):
        draw.text((GAP, GAP + i * _LINE), words, palette.INK, palette.font(_TEXT))
    for place, one in enumerate(chosen):
        x, y = GAP + place % _COLUMNS * across, top + place // _COLUMNS * down
        page.paste(_picture(found, one, region, size), (x, y))
        scale = found.volume.pixel_mm2 or 1.0
        low, middle, high = central(one.areas * scale, level)
        said = f"{one.index}{' (prompt)' if one.index == found.prompted else ''}"
        said += f"   {middle:.0f} ({low:.0f} to {high:.0f})"
        draw.text((x, y + size[0] + 4), said, palette.FAINT, palette.font(_TEXT))
    return page


def _chosen(found: VolumeHypotheses) -> list[VolumeSlice]:
    """Evenly from first to last, the prompted one among them."""
    last = len(found.slices) - 1
    places = set(np.linspace(0, last, min(last + 1, _MOST_SLICES)).round().astype(int).tolist())
    prompted = next(i for i, one in enumerate(found.slices) if one.index == found.prompted)
    if prompted not in places:
        places.remove(min(places - {0, last}, key=lambda i: abs(i - prompted)))
        places.add(prompted)
    return [found.slices[i] for i in sorted(places)]


def _cell(region: Region, spacing: tuple[float, float, float] | None, side: int) -> tuple[int, int]:
    """(h, w) of a region in a square of ``side``, as its millimetres are."""
    rows, columns = (1.0, 1.0) if spacing is None else spacing[1:]
    h, w = (region[3] - region[1]) * rows, (region[2] - region[0]) * columns
    scale = side / max(h, w)
    return max(1, round(h * scale)), max(1, round(w * scale))


def _picture(found: VolumeHypotheses, one: VolumeSlice, region: Region, size: tuple[int, int]) -> Image.Image:
    try:
        image = found.volume.picture(one.index, found.window)
    except OutsideWindow as error:
        image = as_image(error.shown)
    x0, y0, x1, y1 = region
    picture = canvas.crop_resize(canvas.as_picture(found.part(image), found.shape), region, size)
    masks = one.masks(found.shape)[:, y0:y1, x0:x1]
    mean: npt.NDArray[np.float32] = masks.mean(axis=0, dtype=np.float32)
    tint = Image.fromarray((mean * 90).astype(np.uint8)).resize(picture.size, Image.Resampling.BILINEAR)
    picture.paste(_OUTLINE, None, tint)
    zoom = np.array([size[1] / (x1 - x0), size[0] / (y1 - y0)])
    thin = [
        ring * zoom
        for mask in masks[:_MOST_OUTLINES]
        for ring in contours.rings(mask.astype(np.float32), 0.5)
    ]
    cover = canvas.coverage(thin, picture.size, width=1).astype(np.float32) * _THIN
    picture.paste(_OUTLINE, None, Image.fromarray(cover.astype(np.uint8)))
    canvas.outline(picture, [ring * zoom for ring in contours.rings(mean, 0.499)], _MAJORITY, width=2.2)
    return _with_prompt(picture, found, region, zoom) if one.index == found.prompted else picture


def _prompt(found: VolumeHypotheses) -> npt.NDArray[np.float64]:
    """Corners of the box, where there is one, and points: [k, 2], (x, y) in pixels of the region that was seen."""
    points = [] if found.points is None else found.points[:, :2].tolist()
    corners = [] if found.box is None else [found.box[:2], found.box[2:]]
    return np.asarray(shifted(np.reshape([*corners, *points], (-1, 2)), found.region))


def _with_prompt(
    picture: Image.Image, found: VolumeHypotheses, region: Region, zoom: npt.NDArray[np.float64]
) -> Image.Image:
    drawn = np.array(picture)
    places = (shifted(_prompt(found), region) * zoom).tolist()
    if found.box is not None:
        marks.dashed_box(drawn, places[0] + places[1], 1)
    if found.points is not None:
        for place, label in zip(places[-len(found.points) :], found.points[:, 2], strict=True):
            marks.click(drawn, place, 1, positive=label == 1)
    return Image.fromarray(drawn)
