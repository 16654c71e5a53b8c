"""The layers that a prompt is drawn on, and what is drawn there."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Points, Shapes

from asam_trt.napari.plane import Plane, line_width, space_of

LABEL = "label"
"""Feature of a point: one of SIGNS, as in micro-sam."""
SIGNS = ("positive", "negative")
_COLOURS = ("#00c853", "#ff1744")
_LEAST = 1.0  # side of a box in pixels; what is smaller is still being drawn


@dataclass(frozen=True)
class Prompt:
    """What is drawn on a slice, in pixels of it, as `Session.sample` takes it.

    Attributes:
        box: (x0, y0, x1, y1), from edge to edge of pixels.
        points: (x, y) each.
        labels: 1 object, 0 not, of each point.
    """

    box: tuple[float, float, float, float] | None = None
    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()

    def __bool__(self) -> bool:
        return self.box is not None or bool(self.points)


def add_box_layer(viewer: ViewerModel, image: Image) -> Shapes:
    """A Shapes layer over an image, ready for a rectangle."""
    layer = viewer.add_shapes(
        name="box",
        ndim=image.ndim,
        edge_color="white",
        face_color="transparent",
        edge_width=line_width(image),
        **space_of(image),
    )
    layer.mode = "add_rectangle"
    return layer


def add_point_layer(viewer: ViewerModel, image: Image) -> Points:
    """A Points layer over an image: green points are in the object, red ones are not. The key T turns what is added."""
    layer = viewer.add_points(
        name="points",
        ndim=image.ndim,
        features={LABEL: np.empty(0, dtype=str)},
        feature_defaults={LABEL: SIGNS[0]},
        face_color=LABEL,
        face_color_cycle=dict(zip(SIGNS, _COLOURS, strict=True)),
        border_color="white",
        size=6 * line_width(image),
        **space_of(image),
    )
    layer.bind_key("t", turn_sign)
    return layer


def turn_sign(points: Points) -> None:
    """Exchange positive and negative: of the next points, or, while points are selected by mouse, of these."""
    turned = SIGNS[points.feature_defaults[LABEL].iloc[0] == SIGNS[0]]
    # Of points that are added the last one is selected too, and stays as it is.
    with nullcontext() if points.mode == "select" else points.block_update_properties():
        points.current_properties = {LABEL: np.array([turned])}


def read_prompt(
    plane: Plane, image: Image, boxes: Shapes | None, points: Points | None, point: Any
) -> Prompt:
    """The last shape on a slice, as the box around it, and the points there.

    Args:
        boxes, points: None where there is no such layer. Points without the feature `label` are in the object.
        point: of the viewer's world that is shown.
    """
    box = None
    for vertices in [] if boxes is None else boxes.data:
        xy, on = plane.pixels(image, boxes, vertices, point)
        low, high = xy.min(axis=0) + 0.5, xy.max(axis=0) + 0.5  # napari counts from the centre of a pixel
        if on.all() and (high - low >= _LEAST).all():
            box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    if points is None or not len(points.data):
        return Prompt(box)
    xy, on = plane.pixels(image, points, points.data, point)
    signs = points.features.get(LABEL, [SIGNS[0]] * len(xy))
    labels = tuple(int(sign != SIGNS[1]) for sign, here in zip(signs, on, strict=True) if here)
    return Prompt(box, tuple((float(x), float(y)) for x, y in xy[on]), labels)
