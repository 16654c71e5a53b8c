"""What stands beside a picture of hypotheses, or below a low one: words, modes or objects, scales."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from asam_trt import canvas, palette
from asam_trt.canvas import Picture, Region
from asam_trt.hypotheses import Area
from asam_trt.modes import UNCLEAR, Mode, Modes
from asam_trt.palette import Colour
from asam_trt.words import fitted

GAP = 8
SHADE_STRENGTH = 0.5

# In heights of the text.
_COLUMN = 16  # width
_LOWEST = 22  # a picture with the legend beside it; it holds a mode at least
_BELOW = 14  # height of a legend below
_THUMBNAIL = 7
_SCALE = 8  # width of the scale of entropy


@dataclass(frozen=True)
class Entries:
    """What a legend lists.

    Attributes:
        heading: one line above them, or nothing.
        count: how many there are.
        least, wanted: height of one in pixels.
        draw: draws entry i into a region (x0, y0, x1, y1) of the page.
    """

    heading: str
    count: int
    least: int
    wanted: int
    draw: Callable[[Image.Image, int, Region], None]


def text_height(size: tuple[int, int]) -> int:
    """Of the words beside a picture of ``size`` (w, h)."""
    return max(13, min(size[1], 3 * size[0]) // 38)


def attach(picture: Picture, notes: Sequence[str], words: Sequence[str], entries: Entries) -> Picture:
    """The picture with its legend, uint8 [H, W, 3]; H and W depend on the picture's size alone.

    What finds no place is left out: notes first, and entries, whose rest is counted.

    Args:
        notes, words: lines at the top; the last of the words is fainter.
    """
    h, w = picture.shape[:2]
    text = text_height((w, h))
    below = h < _LOWEST * text
    size = (max(w, _COLUMN * text), _BELOW * text) if below else (_COLUMN * text, h)
    return joined(picture, np.asarray(_legend(size, text, notes, words, entries)), below=below)


def joined(first: Picture, second: Picture, *, below: bool = False) -> Picture:
    """Two pictures side by side, or one below the other."""
    y, x = (first.shape[0], 0) if below else (0, first.shape[1])
    page = np.empty((max(len(first), y + len(second)), max(first.shape[1], x + second.shape[1]), 3), np.uint8)
    if page.size != first.size + second.size:
        page[...] = palette.PAPER
    page[: first.shape[0], : first.shape[1]] = first
    page[y : y + second.shape[0], x : x + second.shape[1]] = second
    return page


def of_modes(
    modes: Modes,
    colours: Sequence[Colour],
    thumbnail: Callable[[int, tuple[int, int]], Image.Image],
    region: Region,
    text: int,
) -> Entries:
    """Entries of modes: a thumbnail, the share and the spread of each.

    Args:
        thumbnail: draws ``region`` with mode m at a size (h, w).
        region: the part of the picture to show.
        text: height of the words.
    """
    side = _THUMBNAIL * text

    def draw_mode(page: Image.Image, m: int, place: Region) -> None:
        x, y, right, bottom = place
        draw = ImageDraw.Draw(page)
        page.paste(thumbnail(m, canvas.fit(region, (min(bottom - y - GAP, side), side))), (x, y))
        x += side + GAP
        draw.text((x, y), f"{modes[m].probability:.0%}", palette.INK, palette.font(text + 3))
        bar(draw, (x, y + text + 10, right, y + text + 10 + text // 2), modes[m].probability, colours[m])
        for line, said in enumerate(remarks(modes, modes[m])):
            colour = palette.FAINT if line == 0 else palette.INK
            _write(draw, (x, y + (2 + line) * text + 8), said, colour, text - 2, right - x)

    least = (3 if modes.clear else 4) * text + GAP
    wanted = max(least, canvas.fit(region, (side, side))[0] + GAP)
    return Entries("modes, % of hypotheses", len(modes), least, wanted, draw_mode)


def of_objects(names: Sequence[str], areas: Sequence[Area], colours: Sequence[Colour], text: int) -> Entries:
    """Entries of objects: the name and the area of each; ``text`` is the height of the words."""
    line = text + 6

    def draw_object(page: Image.Image, i: int, place: Region) -> None:
        x, y, right, _ = place
        draw = ImageDraw.Draw(page)
        draw.rectangle((x, y + 4, x + text, y + 4 + text), colours[i])
        _write(draw, (x + GAP + text, y), names[i], palette.INK, text + 3, right - x - GAP - text)
        _write(draw, (x, y + line), f"area {pixels(areas[i].median)} px", palette.INK, text, right - x)
        _write(draw, (x, y + 2 * line), interval(areas[i]), palette.FAINT, text, right - x)

    return Entries("", len(names), 3 * line + GAP, 3 * line + GAP, draw_object)


def remarks(modes: Modes, mode: Mode) -> list[str]:
    """What is said of one of the modes beside its share: its spread, and where it is no group of like masks."""
    if not mode.mask.any():
        return ["nothing"]
    return [f"spread {mode.spread:.2f}"] + ([] if modes.clear else [UNCLEAR])


def pixels(area: float) -> str:
    """An area in digits."""
    return f"{area:,.0f}"


def interval(area: Area) -> str:
    """The share of the hypotheses, and from where to where their areas lie."""
    return f"{area.level:.0%}: {pixels(area.low)} to {pixels(area.high)}"


def bar(draw: ImageDraw.ImageDraw, place: Region, share: float, colour: Colour) -> None:
    """A share of 0 to 1 as a part of a bar."""
    x0, y0, x1, y1 = place
    draw.rectangle(place, (58, 61, 67))
    if share > 0:
        draw.rectangle((x0, y0, x0 + max(1, round((x1 - x0) * share)), y1), colour)


def mode_key(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], width: int, modes: Modes, colours: Sequence[Colour]
) -> None:
    """One line of ``width`` that says which colour a mode has; modes that find no place are counted."""
    x, y = place
    font, end = palette.font(12), x + width
    rest = 90  # of "and 30 more"
    lead = "modes, % of hypotheses:"
    draw.text((x, y), lead, palette.FAINT, font)
    x += round(font.getlength(lead)) + 2 * GAP
    for m, (mode, colour) in enumerate(zip(modes, colours, strict=True)):
        marked = bool(mode.mask.any())
        said = f"{mode.probability:.0%}"
        said += " empty" if not marked else "" if modes.clear else f", spread {mode.spread:.2f}, {UNCLEAR}"
        wide = 14 * marked + round(font.getlength(said))
        if x + wide > end - (rest if m < len(modes) - 1 else 0):
            draw.text((x, y), f"and {len(modes) - m} more", palette.INK, font)
            return
        if marked:
            draw.rectangle((x, y + 3, x + 9, y + 12), colour)
        draw.text((x + 14 * marked, y), said, palette.INK, font)
        x += wide + 2 * GAP


def entropy_scale(size: tuple[int, int], *, outlined: bool) -> Image.Image:
    """The scale of colours of entropy, as high as the picture of ``size`` (w, h) or as it has to be.

    Args:
        outlined: whether the picture has the outline of what most hypotheses hold, which is explained then.
    """
    text = text_height(size)
    key = 6 * text if outlined else 0
    height = max(size[1], 14 * text + key)
    page = Image.new("RGB", (_SCALE * text, height), palette.PAPER)
    draw = ImageDraw.Draw(page)
    top, bottom, wide = 3 * text, height - 2 * text - key, 2 * text
    ramp = palette.cividis(np.linspace(1, 0, bottom - top, dtype=np.float32))
    page.paste(Image.fromarray(np.repeat(ramp[:, None], wide, axis=1)), (text, top))
    for value in (0, 0.25, 0.5, 0.75, 1):
        y = bottom - round(value * (bottom - top))
        draw.text((text + wide + text // 2, y), f"{value:g}", palette.INK, palette.font(text), anchor="lm")
    draw.text((text, text), "entropy, bit", palette.INK, palette.font(text - 1))
    if outlined:
        y = height - key
        draw.rectangle(
            (text, y, 4 * text, y + round(1.6 * text)), tuple(palette.cividis(np.array([0.7]))[0].tolist())
        )
        draw.ellipse(
            (text + 4, y + 3, 4 * text - 4, y + round(1.6 * text) - 3), outline=palette.PAPER, width=2
        )
        for line, said in enumerate(("black outline:", "what most", "hypotheses hold")):
            _write(draw, (text, y + round((1.8 + 1.2 * line) * text)), said, palette.INK, text - 1, 7 * text)
    return page


def _legend(
    size: tuple[int, int], text: int, notes: Sequence[str], words: Sequence[str], entries: Entries
) -> Image.Image:
    """Words at the top, the scale of the shade below them, entries in between; in a wide one, right of both."""
    width, height = size
    page = Image.new("RGB", size, palette.PAPER)
    draw = ImageDraw.Draw(page)
    column, line = _COLUMN * text, text + 6
    room = column - 2 * GAP
    scale = height - 2 * line - 2 * GAP
    wide = width >= 2 * column
    header = line if entries.heading else 0
    free = scale - GAP - (0 if wide else GAP + header + entries.least + line)
    lines = [*notes[: max(0, free // line - len(words))], *words]
    for i, said in enumerate(lines):
        colour = palette.FAINT if words and i == len(lines) - 1 else palette.INK
        _write(draw, (GAP, GAP + i * line), said, colour, text, room)
    page.paste(_shade_scale(room, 2 * line, text), (GAP, scale))
    left, top, bottom = (column, GAP, height - GAP) if wide else (0, 2 * GAP + len(lines) * line, scale)
    _write(draw, (left + GAP, top), entries.heading, palette.FAINT, text - 2, room)
    top += header
    columns = (width - left) // column
    shown = columns * ((bottom - top) // entries.least)
    if shown < entries.count:
        bottom -= line
        shown = columns * max(0, (bottom - top) // entries.least)
        draw.text(
            (left + GAP, bottom), f"and {entries.count - shown} more", palette.FAINT, palette.font(text)
        )
    shown = min(shown, entries.count)
    each = min(entries.wanted, (bottom - top) // max(1, -(-shown // columns)))
    for i in range(shown):
        x, y = left + i % columns * column + GAP, top + i // columns * each
        entries.draw(page, i, (x, y, x + room, y + each))
    return page


@lru_cache(maxsize=8)
def _shade_scale(width: int, height: int, text: int) -> Image.Image:
    """The same in every frame of a video. Not to be drawn on."""
    page = Image.new("RGB", (width, height), palette.PAPER)
    draw = ImageDraw.Draw(page)
    ramp = np.linspace(0, SHADE_STRENGTH, width, dtype=np.float32)[None, :, None]
    base, top = np.asarray((120, 120, 120), np.float32), np.asarray(palette.SHADE, np.float32)
    strip = np.broadcast_to(base * (1 - ramp) + top * ramp, (text // 2, width, 3))
    page.paste(Image.fromarray(strip.astype(np.uint8)), (0, 0))
    small = palette.font(text - 1)
    draw.text((0, text // 2 + 4), "0", palette.FAINT, small)
    draw.text((width // 2, text // 2 + 4), "entropy, bit", palette.FAINT, small, anchor="ma")
    draw.text((width, text // 2 + 4), "1", palette.FAINT, small, anchor="ra")
    return page


def _write(
    draw: ImageDraw.ImageDraw, place: tuple[int, int], said: str, colour: Colour, size: int, width: int
) -> None:
    text, font = fitted(said, size, width)
    draw.text(place, text, colour, font)
