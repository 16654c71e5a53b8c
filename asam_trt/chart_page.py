"""Pages of charts: lines, polygons and discs without steps, and words over them."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from asam_trt import palette
from asam_trt.palette import Colour

Point = tuple[float, float]

_FINER = 4  # shapes are drawn this much larger and averaged: Pillow's own have steps


class ChartPage:
    """Shapes in the order they are drawn, and all words over them.

    Args:
        size: (width, height) in pixels; places are (x, y) in pixels, whole numbers the centres of pixels.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._page = Image.new("RGB", (size[0] * _FINER, size[1] * _FINER), palette.PAPER)
        self._draw = ImageDraw.Draw(self._page)
        self._words: list[tuple[Point, str, Colour, int, str]] = []

    def line(self, points: Sequence[Point], colour: Colour, width: int = 2) -> None:
        """A line through at least two points."""
        self._draw.line([_fine(point) for point in points], colour, width * _FINER, joint="curve")

    def polygon(self, points: Sequence[Point], colour: Colour) -> None:
        """A filled polygon."""
        self._draw.polygon([_fine(point) for point in points], fill=colour)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """A filled disc."""
        x, y = _fine(centre)
        r = radius * _FINER
        self._draw.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    def text(self, place: Point, words: str, colour: Colour, size: int, anchor: str = "la") -> None:
        """Words of a height of ``size`` pixels at one of Pillow's anchors."""
        self._words.append((place, words, colour, size, anchor))

    def picture(self) -> Image.Image:
        """The page as it is to be seen."""
        page = self._page.reduce(_FINER)
        draw = ImageDraw.Draw(page)
        for place, words, colour, size, anchor in self._words:
            draw.text(place, words, colour, palette.font(size), anchor=anchor)
        return page


def _fine(point: Point) -> Point:
    middle = (_FINER - 1) / 2
    return point[0] * _FINER + middle, point[1] * _FINER + middle
