"""Pictures of hypotheses: overlays for images and videos, sheets, mode cards, entropy maps.

Outline colours say which mode a hypothesis belongs to; the purple shade is entropy. All colours come from
`asam_trt.palette` and stay apart for colour-deficient sight.
"""

from __future__ import annotations

import base64
import io
import itertools
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from asam_trt import canvas, contours, legend, marks, palette
from asam_trt.bundles import bundles
from asam_trt.canvas import Picture, Region
from asam_trt.contours import Ring
from asam_trt.counting import counted
from asam_trt.follow import Box
from asam_trt.geometry import as_image, box_corners
from asam_trt.hypotheses import Hypotheses
from asam_trt.legend import GAP
from asam_trt.modes import Modes
from asam_trt.palette import Colour
from asam_trt.words import fitted

_LEAST_SIDE = 480  # smaller pictures are enlarged, so that lines and text stay fine against them
_MOST_SIDE = 2048  # larger ones are made smaller: no screen shows them, and drawing would take minutes
_CAPTION = 108  # least width of a cell of a sheet
_THIN = 0.6  # opacity of the thin outlines


# What pictures of a large image are drawn from: making it smaller takes longer than drawing on it.
_reduced: WeakKeyDictionary[Hypotheses, tuple[Hypotheses, Picture]] = WeakKeyDictionary()


class ModeColours:
    """Colours of modes that stay with their hypotheses from frame to frame."""

    def __init__(self) -> None:
        self._owner: npt.NDArray[np.int64] | None = None

    def of(self, modes: Modes) -> list[Colour]:
        """One colour a mode: that of the earlier mode that it shares most hypotheses with, or a free one."""
        k = len(modes)
        chosen = [-1] * k
        if self._owner is not None and len(self._owner) == len(modes.assignment):
            shared = np.zeros((k, int(self._owner.max()) + 1), np.int64)
            np.add.at(shared, (modes.assignment, self._owner), 1)
            while shared.any():
                i, colour = np.unravel_index(int(np.argmax(shared)), shared.shape)
                chosen[i] = int(colour)
                shared[i, :] = 0
                shared[:, colour] = 0
        free = (c for c in range(2 * k + len(palette.CATEGORIES)) if c not in chosen)
        chosen = [c if c >= 0 else next(free) for c in chosen]
        self._owner = np.asarray(chosen, np.int64)[modes.assignment]
        return [palette.CATEGORIES[c % len(palette.CATEGORIES)] for c in chosen]


def overlay(
    hypotheses: Hypotheses,
    image: npt.NDArray[Any] | None = None,
    *,
    box: Box | None = None,
    point_coords: Sequence[Sequence[float]] = (),
    point_labels: Sequence[int] = (),
    modes: Modes | None = None,
    colours: Sequence[Colour] | None = None,
    notes: Sequence[str] = (),
) -> Picture:
    """The image under all outlines and the entropy shade, with a legend of the modes beside or below it.

    Args:
        image: uint8 or float [H, W, 3]; None takes ``hypotheses.image``.
        box: prompt to draw, xyxy pixels of the image.
        point_coords, point_labels: prompt to draw, (x, y) pixels of the image and 1 (a plus) or 0 (a minus) each.
        modes: None finds them.
        colours: one a mode; see `ModeColours` for videos.
        notes: lines of text at the top of the legend.

    Returns:
        uint8 [H', W', 3], H' and W' by the size of the image alone; images with a side below 480 pixels are
        enlarged by a whole factor, those with a side above 2048 made smaller.
    """
    box = None if box is None else tuple(box_corners(box).tolist())
    clicks = [[float(v) for v in point] for point in point_coords]
    if not all(len(xy) == 2 and all(map(math.isfinite, xy)) for xy in clicks) or len(clicks) != len(
        point_labels
    ):
        raise ValueError(
            f"expected finite (x, y) in point_coords and a label for each, came {point_coords!r}, {point_labels!r}"
        )
    modes = hypotheses.modes() if modes is None else modes
    colours = ModeColours().of(modes) if colours is None else colours
    drawn, plain = _drawable(hypotheses, image, least=_LEAST_SIDE)
    picture = plain.copy()
    size = picture.shape[1], picture.shape[0]
    line = max(1.0, min(size) / 480)
    medoids = [drawn.contours(int(i), exact=False) for i in modes.medoids]
    _draw_all(picture, drawn, modes, colours, medoids, line)
    if box is not None:
        marks.dashed_box(picture, _scaled(box, hypotheses, drawn), line)
    for point, label in zip(clicks, point_labels, strict=True):
        marks.click(picture, _scaled(point, hypotheses, drawn), line, positive=label == 1)
    region = canvas.bounds(drawn.counts)

    @lru_cache
    def cropped(size: tuple[int, int]) -> Image.Image:
        return canvas.crop_resize(plain, region, size)

    def thumbnail(m: int, size: tuple[int, int]) -> Image.Image:
        small = cropped(size).copy()
        _paint_mask(small, drawn[modes[m].index], medoids[m], region, colours[m])
        return small

    area = hypotheses.area()
    words = [
        counted(len(drawn), "hypothesis"),
        f"area {legend.pixels(area.median)} px",
        legend.interval(area),
    ]
    entries = legend.of_modes(modes, colours, thumbnail, region, legend.text_height(size))
    return legend.attach(picture, notes, words, entries)


def overlay_objects(
    objects: Mapping[Any, Hypotheses],
    image: npt.NDArray[Any],
    *,
    boxes: Mapping[Any, Box] | None = None,
    colours: Mapping[Any, Colour] | None = None,
    notes: Sequence[str] = (),
) -> Picture:
    """`overlay` for several objects on one image: a colour an object, and a legend of their areas.

    Args:
        objects: at least one; all of one image.
        image: uint8 or float [H, W, 3].
        boxes: prompts to draw, xyxy pixels of the image, of the objects that have one.
        colours: of the objects; by default in their order.
        notes: lines of text at the top of the legend.

    Returns:
        uint8 [H', W', 3], sized as in `overlay`.
    """
    if colours is None:
        colours = {name: palette.CATEGORIES[i % len(palette.CATEGORIES)] for i, name in enumerate(objects)}
    picture = None
    for name, hypotheses in objects.items():
        drawn, plain = _drawable(hypotheses, image, least=_LEAST_SIDE)
        picture = plain.copy() if picture is None else picture
        line = max(1.0, min(picture.shape[:2]) / 480)
        alone = hypotheses.modes(1)
        medoid = drawn.contours(int(alone.medoids[0]), exact=False)
        _draw_all(picture, drawn, alone, [colours[name]], [medoid], line)
        if boxes is not None and name in boxes:
            corners = box_corners(boxes[name]).tolist()
            marks.dashed_box(picture, _scaled(corners, hypotheses, drawn), line, colours[name])
    if picture is None:
        raise ValueError("expected at least one object to draw, came none")
    names, areas = [str(name) for name in objects], [hypotheses.area() for hypotheses in objects.values()]
    entries = legend.of_objects(
        names,
        areas,
        [colours[name] for name in objects],
        legend.text_height((picture.shape[1], picture.shape[0])),
    )
    return legend.attach(picture, notes, (), entries)


def sheet(
    hypotheses: Hypotheses,
    image: npt.NDArray[Any] | None = None,
    *,
    most: int = 32,
    cell: int = 148,
    modes: Modes | None = None,
) -> Image.Image:
    """The first ``most`` hypotheses side by side, each on the image in its mode's colour, with its number and score.

    Args:
        image: uint8 or float [H, W, 3]; None takes ``hypotheses.image``.
        cell: side of one picture in pixels.
        modes: decide the colours; None finds them.
    """
    modes = hypotheses.modes() if modes is None else modes
    colours = ModeColours().of(modes)
    drawn, plain = _drawable(hypotheses, image)
    region = canvas.bounds(drawn.counts)
    shown = min(most, len(hypotheses))
    columns = _columns(shown + 1)
    size = canvas.fit(region, (cell, cell))
    rows = math.ceil((shown + 1) / columns)
    small, large = 12, 16
    head = large + small + 4 * GAP
    across, down = max(size[1], _CAPTION) + GAP, size[0] + small + 10
    width = max(columns * across + GAP, 640)
    page = Image.new("RGB", (width, head + rows * down + GAP), palette.PAPER)
    draw = ImageDraw.Draw(page)
    area = hypotheses.area()
    parts = [
        counted(len(hypotheses), "hypothesis") + (f", the first {shown}" if shown < len(hypotheses) else ""),
        f"area {legend.pixels(area.median)} px ({legend.interval(area)})",
        f"empty {hypotheses.p_empty:.0%}",
        "q: IoU as the model estimates it",
    ]
    # A number that is cut is another one: the last parts go first.
    while len(parts) > 1 and fitted("    ".join(parts), large, width - 2 * GAP)[0] != "    ".join(parts):
        parts.pop()
    title, font = fitted("    ".join(parts), large, width - 2 * GAP)
    draw.text((GAP, GAP), title, palette.INK, font)
    legend.mode_key(draw, (GAP, large + 2 * GAP), width - 2 * GAP, modes, colours)
    bare = canvas.crop_resize(plain, region, size)
    for place in range(shown + 1):
        x, y = GAP + place % columns * across, head + place // columns * down
        picture = bare.copy()
        i = place - 1
        if i >= 0:
            colour = colours[int(modes.assignment[i])]
            _paint_mask(picture, drawn[i], drawn.contours(i, exact=False), region, colour)
        # SAM's quality head may go beyond what an IoU can be.
        caption = f"{i}   q {min(max(float(hypotheses.scores[i]), 0.0), 1.0):.2f}" if i >= 0 else "image"
        caption += "   empty" if i >= 0 and hypotheses.areas[i] == 0 else ""
        page.paste(picture, (x, y))
        draw.text((x, y + size[0] + 3), caption, palette.FAINT, palette.font(small))
    return page


def mode_cards(
    hypotheses: Hypotheses,
    image: npt.NDArray[Any] | None = None,
    *,
    modes: Modes | None = None,
    cell: int = 260,
) -> Image.Image:
    """One card a mode: its mask on the image, a bar of its share of the hypotheses, its spread and area.

    Args:
        image: uint8 or float [H, W, 3]; None takes ``hypotheses.image``.
        modes: None finds them.
        cell: side of one picture in pixels.
    """
    modes = hypotheses.modes() if modes is None else modes
    colours = ModeColours().of(modes)
    drawn, plain = _drawable(hypotheses, image)
    region = canvas.bounds(drawn.counts)
    size = canvas.fit(region, (cell, cell))
    width = max(size[1], 190)
    height = size[0] + (86 if modes.clear else 104)
    page = Image.new("RGB", (len(modes) * (width + 2 * GAP) + 2 * GAP, height), palette.PAPER)
    draw = ImageDraw.Draw(page)
    bare = canvas.crop_resize(plain, region, size)
    for m, mode in enumerate(modes):
        x, y = 2 * GAP + m * (width + 2 * GAP), 2 * GAP
        picture = bare.copy()
        rings = drawn.contours(mode.index, exact=False)
        _paint_mask(picture, drawn[mode.index], rings, region, colours[m])
        page.paste(picture, (x, y))
        y += size[0] + 8
        legend.bar(draw, (x, y, x + width - 52, y + 14), mode.probability, colours[m])
        draw.text((x + width, y - 2), f"{mode.probability:.0%}", palette.INK, palette.font(17), anchor="ra")
        spread, *unclear = legend.remarks(modes, mode)
        said, font = fitted(f"area {legend.pixels(hypotheses.areas[mode.index])} px, {spread}", 13, width)
        draw.text((x, y + 22), said, palette.FAINT, font)
        of = f"% of {counted(len(hypotheses), 'hypothesis')}"
        draw.text((x + width, y + 40), of, palette.FAINT, palette.font(13), anchor="ra")
        for remark in unclear:
            draw.text((x, y + 58), remark, palette.INK, palette.font(13))
    return page


def entropy_map(hypotheses: Hypotheses, image: npt.NDArray[Any] | None = None) -> Image.Image:
    """Entropy in bits as colour over a grey image, with the consensus outline and a scale."""
    drawn, plain = _drawable(hypotheses, image, least=_LEAST_SIDE)
    entropy = drawn.entropy
    grey = np.asarray(Image.fromarray(plain).convert("L"), np.float32)
    colour = palette.cividis(entropy).astype(np.float32)
    # The image shows through where the masks agree; brightness belongs to the entropy where they do not.
    seen = np.repeat(grey[:, :, None], 3, axis=2) * 0.55
    cover = np.minimum(entropy * 3, 1.0)[:, :, None]
    picture = Image.fromarray((seen * (1 - cover) + colour * cover + 0.5).astype(np.uint8))
    agreed = contours.rings(drawn.mean, 0.5)
    canvas.outline(picture, agreed, palette.PAPER, width=2)
    scale = legend.entropy_scale(picture.size, outlined=bool(agreed))
    return Image.fromarray(legend.joined(np.asarray(picture), np.asarray(scale)))


def html_image(picture: Image.Image) -> str:
    """An ``<img>`` element that carries the picture itself."""
    stream = io.BytesIO()
    picture.save(stream, "PNG")
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img width="{picture.width}" height="{picture.height}" src="data:image/png;base64,{data}">'


def reduced(hypotheses: Hypotheses) -> Hypotheses | None:
    """What large images are drawn from, the same hypotheses at a longer side of 2048 pixels; None where nothing
    has to be made smaller.

    Its `Hypotheses.modes` take a fraction of the time of those at full size, and may be given to every function here.
    """
    return _drawable(hypotheses, None)[0] if max(hypotheses.frame.original) > _MOST_SIDE else None


def _columns(cells: int) -> int:
    """Columns, 6 to 11, that leave the fewest places of the last row empty."""
    return min(cells, min(range(6, 12), key=lambda c: (-cells % c, -c)))


def _drawable(
    hypotheses: Hypotheses, image: npt.NDArray[Any] | None, least: int = 1
) -> tuple[Hypotheses, Picture]:
    """The hypotheses and their image at the size of the picture: no side below ``least`` or above 2048.

    Masks come from logits, so that they are made at that size, neither enlarged nor reduced. The image may be the
    caller's own: it is not to be drawn on.
    """
    h, w = hypotheses.frame.original
    own = image is None
    image = hypotheses.image if image is None else as_image(image)
    if image is not None and image.shape[:2] != (h, w):
        raise ValueError(
            f"expected an image of {w} x {h} pixels (w x h) as the hypotheses, came {image.shape[1]} x {image.shape[0]}"
        )
    if own and hypotheses in _reduced:
        return _reduced[hypotheses]
    if max(h, w) > _MOST_SIDE:
        factor = _MOST_SIDE / max(h, w)
        size = max(1, round(h * factor)), max(1, round(w * factor))
    else:
        # Long strips are not enlarged beyond the other limit.
        scale = max(1, min(math.ceil(least / min(h, w)), _MOST_SIDE // max(h, w)))
        size = h * scale, w * scale
    plain = canvas.as_picture(image, (h, w) if image is not None else size)
    if size == (h, w):
        return hypotheses, plain
    if image is not None:
        plain = np.asarray(canvas.crop_resize(plain, (0, 0, w, h), size))
    found = hypotheses.at(size), plain
    if own and max(h, w) > _MOST_SIDE:
        _reduced[hypotheses] = found
    return found


def _scaled(places: Sequence[float], hypotheses: Hypotheses, drawn: Hypotheses) -> list[float]:
    """x, y, x, y ... of the image in pixels of the picture."""
    (h, w), (high, wide) = hypotheses.frame.original, drawn.frame.original
    return [v * factor for v, factor in zip(places, itertools.cycle((wide / w, high / h)), strict=False)]


def _draw_all(
    picture: Picture,
    drawn: Hypotheses,
    modes: Modes,
    colours: Sequence[Colour],
    medoids: list[list[Ring]],
    line: float,
) -> None:
    """The entropy shade; all outlines, thin, in the colour of their mode, and the medoids' stronger.

    All of it is laid over the picture in place and at once, and at a lower resolution where a thin line is two pixels
    wide or more.
    """
    step = int(line)
    h, w = picture.shape[:2]
    coarse = drawn if step == 1 else drawn.at((-(-h // step), -(-w // step)))
    counts = drawn.counts[::step, ::step]
    region = canvas.bounds((counts > 0) & (counts < len(drawn)), margin=0, least=round(8 * line))
    x0, y0, x1, y1 = region
    strength = (drawn.entropy_of_counts * (legend.SHADE_STRENGTH * 255)).astype(np.uint8)
    layer = canvas.Layer(strength[counts[y0:y1, x0:x1]], palette.SHADE)
    thin = bundles(coarse.packed, coarse.frame.original, modes.assignment, region, opacity=_THIN)
    for m in reversed(range(len(modes))):
        layer.add(thin[m], colours[m])
        rings = [ring / step - (x0, y0) for ring in medoids[m]]
        layer.add(canvas.coverage(rings, (x1 - x0, y1 - y0), width=2.5 * line / step), colours[m])
    layer.lay(picture[y0 * step : y1 * step, x0 * step : x1 * step], step)


def _paint_mask(
    picture: Image.Image, mask: npt.NDArray[np.bool_], rings: list[Ring], region: Region, colour: Colour
) -> None:
    """Tint a mask and draw its outline on the picture of ``region``."""
    x0, y0, x1, y1 = region
    part = Image.fromarray(np.ascontiguousarray(mask[y0:y1, x0:x1]).view(np.uint8) * np.uint8(77))
    alpha = part.resize(picture.size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    picture.paste(colour, None, alpha)
    zoom = np.array([picture.width / (x1 - x0), picture.height / (y1 - y0)])
    canvas.outline(picture, [(ring - (x0, y0)) * zoom for ring in rings], colour, width=1.8)
