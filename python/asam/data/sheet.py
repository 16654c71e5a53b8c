"""A contact sheet of samples: prompt, every rater's mask, their mean, the law's modes if known, a method's answers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_erosion

from asam.data.sample import Promise, Sample
from asam_trt.palette import font
from asam_trt.words import broken

__all__ = ["sheet"]

_TINT: Final = np.array([255, 60, 60], dtype=np.float32)
_EDGE: Final = np.array([255, 225, 0], dtype=np.float32)
_GAP: Final = 4
_LETTERS: Final = 10  # height of captions
_LINE: Final = 12
_MASKS: Final = 6  # raters shown
_MODES: Final = 4
_ANSWERS: Final = 8  # hypotheses shown


def sheet(
    samples: Sequence[Sample],
    *,
    tile: int = 160,
    answers: Sequence[NDArray[np.bool_]] | None = None,
) -> NDArray[np.uint8]:
    """Draws one row a sample.

    Args:
        samples: at least one.
        answers: hypotheses of a method, bool [n, H, W] a sample: the first eight and their mean are added, and
            the law is left out.
        tile: side of a cell in pixels; images are fitted into it.

    Returns:
        uint8 [height, width, 3].
    """
    if not samples:
        raise ValueError("a sheet needs at least one sample")
    if answers is None:
        rows = [_row(sample, tile) + _law(sample, tile) for sample in samples]
    else:
        rows = [
            _row(sample, tile) + _answers(sample, masks, tile)
            for sample, masks in zip(samples, answers, strict=True)
        ]
    captions = [[broken(caption, font(_LETTERS), tile) for caption, _ in row] for row in rows]
    heads = [max(map(len, lines)) * _LINE + 2 for lines in captions]
    heights = [
        max(cell.height for _, cell in row) + head + _GAP for row, head in zip(rows, heads, strict=True)
    ]
    columns = max(len(row) for row in rows)
    page = Image.new("RGB", (columns * (tile + _GAP) + _GAP, sum(heights) + _GAP), "white")
    draw = ImageDraw.Draw(page)
    top = _GAP
    for row, lines, head, height in zip(rows, captions, heads, heights, strict=True):
        for column, ((_, cell), words) in enumerate(zip(row, lines, strict=True)):
            left = _GAP + column * (tile + _GAP)
            for number, line in enumerate(words):
                draw.text((left, top + number * _LINE), line, "black", font(_LETTERS))
            page.paste(cell, (left, top + head))
        top += height
    return np.asarray(page)


def _row(sample: Sample, tile: int) -> list[tuple[str, Image.Image]]:
    image = sample.float_image * np.float32(255)
    first = _fitted(image, tile)
    _prompt(first, sample, tile / max(image.shape[:2]))
    row = [(sample.id, first)]
    word = "rater" if sample.promise is Promise.RATERS else "mask"
    for number, mask in enumerate(sample.masks[:_MASKS]):
        note = ", not seen" if not sample.seen[number] else "" if mask.any() else ", empty"
        name = sample.raters[number] if sample.raters else f"{word} {number + 1}"
        row.append((f"{name}{note}", _overlay(image, mask, tile)))
    mean = np.tensordot(sample.weights, sample.masks, axes=1)
    row.append((f"mean of {word}s", _grey(mean, tile)))
    return row


def _law(sample: Sample, tile: int) -> list[tuple[str, Image.Image]]:
    if sample.law is None:
        return []
    image = sample.float_image * np.float32(255)
    law = sample.law.quantised(_MODES)
    return [
        (f"law p={prob:.2f}{'' if mode.any() else ' (empty)'}", _overlay(image, mode, tile))
        for prob, mode in zip(law.probs[:_MODES], law.modes[:_MODES], strict=True)
    ]


def _answers(sample: Sample, masks: NDArray[np.bool_], tile: int) -> list[tuple[str, Image.Image]]:
    image = sample.float_image * np.float32(255)
    cells = [("mean of hypotheses", _grey(masks.mean(axis=0), tile))]
    for number, mask in enumerate(masks[:_ANSWERS]):
        caption = f"hypothesis {number}" if mask.any() else f"{number}: empty"
        cells.append((caption, _overlay(image, mask, tile)))
    return cells


def _grey(values: NDArray[np.floating], tile: int) -> Image.Image:
    """A map [H, W] in 0..1 as grey."""
    return _fitted(np.repeat(values[:, :, None] * 255, 3, axis=2).astype(np.float32), tile)


def _prompt(cell: Image.Image, sample: Sample, scale: float) -> None:
    draw = ImageDraw.Draw(cell)
    if sample.click is None:
        x0, y0, x1, y1 = (sample.box * scale).tolist()
        # What is small in a large image is less than a pixel wide here.
        draw.rectangle([x0, y0, max(x0, x1 - 1), max(y0, y1 - 1)], outline=(0, 230, 255))
    else:
        x, y = (sample.click * scale).tolist()
        draw.ellipse([x - 3, y - 3, x + 3, y + 3], fill=(0, 255, 0), outline="black")


def _overlay(image: NDArray[np.float32], mask: NDArray[np.bool_], tile: int) -> Image.Image:
    """The mask lightly tinted with its edge drawn full, so that what lies under it stays visible."""
    cell = np.asarray(_fitted(image, tile)).astype(np.float32)
    big = Image.fromarray(mask).resize((cell.shape[1], cell.shape[0]), Image.Resampling.NEAREST)
    inside = np.asarray(big)
    cell[inside] = 0.7 * cell[inside] + 0.3 * _TINT
    cell[inside & ~binary_erosion(inside)] = _EDGE
    return Image.fromarray(cell.astype(np.uint8))


def _fitted(image: NDArray[np.float32], tile: int) -> Image.Image:
    """The image scaled so that its longer side fills a cell."""
    height, width = image.shape[:2]
    scale = tile / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).resize(size, Image.Resampling.BILINEAR)
