"""Charts with intervals, drawn with Pillow as the rest of the project's are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

from asam_trt import palette
from asam_trt.chart_page import ChartPage
from asam_trt.words import shortened

_SIZE = (900, 456)
_TOP, _RIGHT, _BOTTOM, _LEFT = 100, 24, 58, 64
_GRID = (52, 55, 61)

Point = tuple[float, float, float]
"""Value, low and high end of its interval; NaN ends where there is none, a NaN value where there is nothing."""


@dataclass(frozen=True)
class _Axes:
    """From values to pixels."""

    page: ChartPage
    x: tuple[float, float]
    y: tuple[float, float]

    def at(self, x: float, y: float) -> tuple[float, float]:
        (x0, x1), (y0, y1) = self.x, self.y
        return (
            _LEFT + (x - x0) / (x1 - x0) * (_SIZE[0] - _LEFT - _RIGHT),
            _SIZE[1] - _BOTTOM - (y - y0) / (y1 - y0) * (_SIZE[1] - _TOP - _BOTTOM),
        )


def chart(
    labels: Sequence[str], series: Mapping[str, Sequence[Point]], *, title: str, y_label: str
) -> Image.Image:
    """Points with intervals over named places, one colour a series.

    Args:
        labels: of the places on the x axis, at least one.
        series: name -> a point a place.
    """
    if not labels or not series or any(len(points) != len(labels) for points in series.values()):
        lengths = {name: len(points) for name, points in series.items()}
        raise ValueError(f"chart: expected {len(labels)} points (at least 1) in each series, came {lengths}")
    finite = [v for points in series.values() for p in points for v in p if not math.isnan(v)]
    low, high = (min(0.0, *finite, 0.0), max(*finite, 1e-9, 0.0)) if finite else (0.0, 1.0)
    axes = _axes(title, (-0.5, len(labels) - 0.5), (low, high * 1.05), y_label)
    for place, label in enumerate(labels):
        spot = (axes.at(place, 0)[0], _SIZE[1] - _BOTTOM + 8)
        axes.page.text(spot, label, palette.FAINT, 13, "ma")
    step = 0.5 / max(len(series), 1)
    for number, (name, points) in enumerate(series.items()):
        colour = palette.CATEGORIES[number % len(palette.CATEGORIES)]
        aside = (number - (len(series) - 1) / 2) * step
        _series(axes, [place + aside for place in range(len(labels))], points, colour, joined=False)
        _legend(axes.page, number, name, colour)
    return axes.page.picture()


def reliability_chart(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float]]], *, title: str
) -> Image.Image:
    """Predicted chance against the raters' share, beside the diagonal of perfect calibration.

    Args:
        curves: name -> (predicted, observed), both in [0, 1]; NaN where a bin is empty.
    """
    axes = _axes(title, (0.0, 1.0), (0.0, 1.0), "share of raters")
    for tick in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        spot = (axes.at(tick, 0)[0], _SIZE[1] - _BOTTOM + 8)
        axes.page.text(spot, f"{tick:g}", palette.FAINT, 13, "ma")
    axes.page.line([axes.at(0, 0), axes.at(1, 1)], palette.FAINT, 1)
    for number, (name, (predicted, observed)) in enumerate(curves.items()):
        colour = palette.CATEGORIES[number % len(palette.CATEGORIES)]
        points = [(y, math.nan, math.nan) for y in observed]
        _series(axes, predicted, points, colour, joined=True)
        _legend(axes.page, number, name, colour)
    axes.page.text((_SIZE[0] - _RIGHT, _SIZE[1] - 24), "share of hypotheses", palette.FAINT, 13, "ra")
    return axes.page.picture()


def _axes(title: str, x: tuple[float, float], y: tuple[float, float], y_label: str) -> _Axes:
    page = ChartPage(_SIZE)
    axes = _Axes(page, x, y)
    for value in _ticks(*y):
        height = round(axes.at(x[0], value)[1])
        page.line([(_LEFT, height), (_SIZE[0] - _RIGHT, height)], _GRID, 1)
        page.text((_LEFT - 8, height), f"{value:g}", palette.FAINT, 13, "rm")
    page.text((_LEFT, 6), title, palette.INK, 15)
    page.text((8, _TOP - 12), y_label, palette.FAINT, 13, "ls")
    return axes


def _series(
    axes: _Axes, places: Sequence[float], points: Sequence[Point], colour: palette.Colour, *, joined: bool
) -> None:
    seen = [
        (x, *point)
        for x, point in zip(places, points, strict=True)
        if not (math.isnan(point[0]) or math.isnan(x))
    ]
    if joined and len(seen) > 1:
        axes.page.line([axes.at(x, value) for x, value, _, _ in seen], colour)
    for x, value, low, high in seen:
        if not math.isnan(low):
            axes.page.line([axes.at(x, low), axes.at(x, high)], colour)
        axes.page.disc(axes.at(x, value), 4, colour)


def _legend(page: ChartPage, number: int, name: str, colour: palette.Colour) -> None:
    left = _LEFT + 270 * (number % 3)
    top = 28 + 15 * (number // 3)
    page.disc((left + 4, top + 7), 4, colour)
    page.text((left + 14, top), shortened(name, palette.font(12), 250), palette.INK, 12)


def _ticks(low: float, high: float) -> list[float]:
    """A handful of round numbers within low..high."""
    step = 10.0 ** math.floor(math.log10(max(high - low, 1e-9) / 2))
    step = next(step * m for m in (0.2, 0.5, 1, 2, 5) if (high - low) / (step * m) <= 8)
    return [
        round(k * step, 12) for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ]
