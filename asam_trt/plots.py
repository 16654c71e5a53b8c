"""Curves over time, drawn with Pillow."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image

from asam_trt import palette
from asam_trt.chart_page import ChartPage

MARGIN = (24, 24, 46, 76)  # top, right, bottom, left


def band(
    x: Sequence[float],
    low: Sequence[float],
    middle: Sequence[float],
    high: Sequence[float],
    *,
    title: str,
    x_label: str,
    mark: tuple[float, str] | None = None,
    whole: bool = False,
    colour: palette.Colour = palette.CATEGORIES[0],
    size: tuple[int, int] = (900, 320),
) -> Image.Image:
    """A line within its band.

    Args:
        x: ascending, at least one.
        low, middle, high: as long as ``x``.
        mark: a value of ``x`` from which something else holds, and the word for it.
        whole: ``x`` are whole numbers, and so are its ticks.
        colour: of the line; the band is darker.
        size: (width, height) in pixels.
    """
    if not len(x) == len(low) == len(middle) == len(high) > 0:
        raise ValueError(
            f"expected equal lengths above 0, came {len(x)}, {len(low)}, {len(middle)}, {len(high)}"
        )
    page = ChartPage(size)
    top, right, bottom, left = MARGIN
    x_ticks = ticks(min(x), max(x), whole=whole)
    y_ticks = ticks(0, max(high) or 1)
    x0, x1 = (min(x), max(x)) if max(x) > min(x) else (x[0] - 0.5, x[0] + 0.5)
    y1 = y_ticks[-1]

    def at(px: float, py: float) -> tuple[float, float]:
        return (
            left + (px - x0) / (x1 - x0) * (size[0] - left - right),
            size[1] - bottom - py / y1 * (size[1] - top - bottom),
        )

    for value in y_ticks:
        y = round(at(x0, value)[1])
        page.line([(left, y), (size[0] - right, y)], (52, 55, 61), 1)
        page.text((left - 8, y), f"{value:g}", palette.FAINT, 13, "rm")
    for value in x_ticks:
        if x0 <= value <= x1:
            page.text((at(value, 0)[0], size[1] - bottom + 6), f"{value:g}", palette.FAINT, 13, "ma")
    upper = [at(a, b) for a, b in zip(x, high, strict=True)]
    lower = [at(a, b) for a, b in zip(x, low, strict=True)]
    if len(x) > 1:
        r, g, b = (round(0.65 * p + 0.35 * c) for p, c in zip(palette.PAPER, colour, strict=True))
        page.polygon(upper + lower[::-1], (r, g, b))
        page.line([at(a, b) for a, b in zip(x, middle, strict=True)], colour)
    else:
        page.line([upper[0], lower[0]], colour)
        page.disc(at(x[0], middle[0]), 4, colour)
    if mark is not None:
        place = at(mark[0], 0)[0]
        page.line([(place, top), (place, size[1] - bottom)], palette.INK, 1)
        beside, anchor = (-6, "ra") if place > size[0] / 2 else (6, "la")
        page.text((place + beside, top + 4), mark[1], palette.INK, 13, anchor)
    page.text((left, 4), title, palette.INK, 15)
    page.text((size[0] - right, size[1] - 20), x_label, palette.FAINT, 13, "ra")
    return page.picture()


def stacked(pages: Sequence[Image.Image]) -> Image.Image:
    """Plots one below the other."""
    page = Image.new("RGB", (max(p.width for p in pages), sum(p.height for p in pages)), palette.PAPER)
    y = 0
    for one in pages:
        page.paste(one, (0, y))
        y += one.height
    return page


def ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """About five round numbers that cover low..high, whole ones if asked."""
    span = max(high - low, 1.0 if whole else 1e-9)
    step = 10.0 ** math.floor(math.log10(span / 4))
    steps = (step * m for m in (1, 2, 2.5, 5, 10) if not whole or (step * m).is_integer())
    step = next(s for s in steps if span / s <= 5)
    first = math.floor(low / step + 1e-9) * step
    count = math.ceil((high - first) / step - 1e-9)
    return [float(np.round(first + i * step, 12)) for i in range(max(count, 1) + 1)]
