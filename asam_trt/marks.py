"""Prompts as they are drawn on pictures."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np

from asam_trt import canvas, palette
from asam_trt.canvas import Picture
from asam_trt.palette import Colour


def click(picture: Picture, place: Sequence[float], line: float, *, positive: bool) -> None:
    """A disc with a plus or a minus: told apart by its shape, on any picture."""
    x, y = place
    radius, arm, width = 7 * line, 4 * line, max(1, round(1.5 * line))
    with canvas.drawing(picture, (x - radius, y - radius, x + radius, y + radius)) as (draw, left, top):
        x, y = x - left, y - top
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), palette.PAPER, palette.INK, width)
        draw.line((x - arm, y, x + arm, y), palette.INK, width)
        if positive:
            draw.line((x, y - arm, x, y + arm), palette.INK, width)


def dashed_box(picture: Picture, box: Sequence[float], line: float, colour: Colour = palette.INK) -> None:
    """A box (x0, y0, x1, y1) in dashes."""
    x0, y0, x1, y1 = box
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    dash, width = 8 * line, max(1, round(1.5 * line))
    for (ax, ay), (bx, by) in itertools.pairwise(corners):
        length = math.hypot(bx - ax, by - ay)
        # A box far beyond the picture has no more dashes than the picture can show.
        whole = length > 4 * sum(picture.shape[:2])
        starts = np.array([0.0]) if whole else np.arange(0, length, 2 * dash)
        side = min(ax, bx) - width, min(ay, by) - width, max(ax, bx) + width, max(ay, by) + width
        with canvas.drawing(picture, side) as (draw, left, top):
            for start in starts:
                near, far = start / length, 1.0 if whole else min(start + dash, length) / length
                stroke = (
                    ax + near * (bx - ax) - left, ay + near * (by - ay) - top,
                    ax + far * (bx - ax) - left, ay + far * (by - ay) - top,
                )  # fmt: skip
                draw.line(stroke, colour, width)
