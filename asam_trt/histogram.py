"""Histograms, drawn with Pillow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from asam_trt import palette
from asam_trt.chart_page import ChartPage
from asam_trt.plots import MARGIN, ticks

_BARS = 24


def histogram(
    values: npt.NDArray[np.floating],
    *,
    marks: Sequence[float] = (),
    title: str,
    x_label: str,
    size: tuple[int, int] = (900, 320),
) -> Image.Image:
    """Counts of values from 0 to the largest.

    Args:
        values: [n] of at least 0, n >= 1.
        marks: places of vertical lines.
        size: (width, height) in pixels.
    """
    page = ChartPage(size)
    top, right, bottom, left = MARGIN
    x_ticks = ticks(0, float(values.max()) or 1.0)
    counts, edges = np.histogram(values, _BARS, (0, x_ticks[-1]))
    y_ticks = ticks(0, int(counts.max()), whole=True)

    def at(x: float, y: float) -> tuple[float, float]:
        return (
            left + x / x_ticks[-1] * (size[0] - left - right),
            size[1] - bottom - y / y_ticks[-1] * (size[1] - top - bottom),
        )

    for value in y_ticks:
        page.line([at(0, value), at(x_ticks[-1], value)], (52, 55, 61), 1)
        page.text((left - 8, at(0, value)[1]), f"{value:g}", palette.FAINT, 13, "rm")
    for value in x_ticks:
        page.text((at(value, 0)[0], size[1] - bottom + 6), f"{value:g}", palette.FAINT, 13, "ma")
    for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            (x0, y0), (x1, y1) = at(low, 0), at(high, count)
            page.polygon([(x0 + 1, y0), (x0 + 1, y1), (x1 - 1, y1), (x1 - 1, y0)], palette.CATEGORIES[0])
    for mark in marks:
        page.line([at(mark, 0), at(mark, y_ticks[-1])], palette.INK, 1)
    page.text((left, 4), title, palette.INK, 15)
    page.text((size[0] - right, size[1] - 20), x_label, palette.FAINT, 13, "ra")
    return page.picture()
