"""Drawing on pictures: smooth outlines, layers of colour, thumbnails."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from asam_trt import _ops
from asam_trt.palette import Colour

Picture = npt.NDArray[np.uint8]
Region = tuple[int, int, int, int]

_SMOOTH = 2  # lines are drawn this much larger and averaged: Pillow's own have steps


def as_picture(image: npt.NDArray[Any] | None, size: tuple[int, int]) -> Picture:
    """uint8 [H, W, 3] of an image, or plain grey of ``size`` (h, w) where there is none."""
    if image is None:
        return np.full((*size, 3), 60, np.uint8)
    if image.dtype == np.uint8:
        return image
    return np.asarray(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def crop_resize(picture: Picture, region: Region, size: tuple[int, int]) -> Image.Image:
    """The part of a picture in ``region`` (x0, y0, x1, y1) at ``size`` (h, w)."""
    x0, y0, x1, y1 = region
    part = np.ascontiguousarray(picture[y0:y1, x0:x1])
    if size[0] <= part.shape[0] and size[1] <= part.shape[1]:
        return Image.fromarray(_ops.resize_image(part, size))
    return Image.fromarray(part).resize((size[1], size[0]), Image.Resampling.BICUBIC, reducing_gap=2.0)


@contextmanager
def drawing(picture: Picture, region: Sequence[float]) -> Iterator[tuple[ImageDraw.ImageDraw, int, int]]:
    """Draw with Pillow on the part of a picture around ``region`` (x0, y0, x1, y1): what draws, and x and y of the
    picture that are its 0, 0."""
    h, w = picture.shape[:2]
    x0, y0 = (min(max(math.floor(v), 0), most) for v, most in zip(region[:2], (w, h), strict=True))
    x1, y1 = (min(max(math.ceil(v) + 1, 0), most) for v, most in zip(region[2:], (w, h), strict=True))
    part = Image.fromarray(picture[y0:y1, x0:x1]) if x1 > x0 and y1 > y0 else Image.new("RGB", (1, 1))
    yield ImageDraw.Draw(part), x0, y0
    if x1 > x0 and y1 > y0:
        picture[y0:y1, x0:x1] = np.asarray(part)


class Layer:
    """Colours with an opacity, laid over a picture in one step.

    Args:
        alpha: uint8 [h, w], opacity of the ground.
        colour: of the ground.
    """

    def __init__(self, alpha: npt.NDArray[np.uint8], colour: Colour) -> None:
        self._alpha, self._colours = [alpha], [colour]

    def add(self, alpha: npt.NDArray[np.uint8], colour: Colour) -> None:
        """Lay another colour over it."""
        self._alpha.append(alpha)
        self._colours.append(colour)

    def lay(self, picture: Picture, step: int = 1) -> None:
        """Lay it over a picture or a part of one, in place, each of its pixels over ``step`` x ``step``."""
        _ops.lay_over(picture, self._alpha, np.array(self._colours, np.uint8), step)


def coverage(
    rings: Iterable[npt.NDArray[Any]], size: tuple[int, int], *, width: float = 2.0
) -> npt.NDArray[np.uint8]:
    """How far closed rings [k, 2] of (x, y) cover each pixel: uint8 [h, w] of ``size`` (w, h)."""
    layer = Image.new("L", (size[0] * _SMOOTH, size[1] * _SMOOTH))
    draw = ImageDraw.Draw(layer)
    for ring in rings:
        if len(ring) > 1:
            path = np.concatenate([ring, ring[:1]]) * _SMOOTH
            draw.line(path.ravel().tolist(), fill=255, width=max(1, round(width * _SMOOTH)))
    return np.asarray(layer.reduce(_SMOOTH))


def outline(
    picture: Image.Image, rings: Iterable[npt.NDArray[Any]], colour: Colour, *, width: float = 2.0
) -> None:
    """Draw closed rings [k, 2] of (x, y) on a picture in place, all with one thickness."""
    rings = [ring for ring in rings if len(ring) > 1]
    if not rings:
        return
    points = np.concatenate(rings)
    low = np.clip(np.floor(points.min(axis=0) - width - 1), 0, picture.size).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + width + 1), 0, picture.size).astype(int)
    x, y = (high - low).tolist()
    if x <= 0 or y <= 0:
        return
    alpha = coverage([ring - low for ring in rings], (x, y), width=width)
    picture.paste(colour, (int(low[0]), int(low[1]), int(high[0]), int(high[1])), Image.fromarray(alpha))


def bounds(weights: npt.NDArray[Any], margin: float = 0.25, least: int = 16) -> Region:
    """Region around the non-zero part of a map [H, W], widened by a share of its size; all if it is empty."""
    h, w = weights.shape
    rows, columns = np.nonzero(weights.any(axis=1))[0], np.nonzero(weights.any(axis=0))[0]
    if len(rows) == 0:
        return 0, 0, w, h
    x0, x1, y0, y1 = int(columns[0]), int(columns[-1]) + 1, int(rows[0]), int(rows[-1]) + 1
    pad = int(max(margin * max(x1 - x0, y1 - y0), least / 2))
    return max(0, x0 - pad), max(0, y0 - pad), min(w, x1 + pad), min(h, y1 + pad)


def fit(region: Region, size: tuple[int, int]) -> tuple[int, int]:
    """(h, w) of a region scaled to fit into ``size`` (h, w)."""
    h, w = region[3] - region[1], region[2] - region[0]
    scale = min(size[0] / h, size[1] / w)
    return max(1, round(h * scale)), max(1, round(w * scale))
