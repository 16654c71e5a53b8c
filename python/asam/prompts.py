"""Kinds of prompts and their perturbations: seeded, reusable, the same in training and in evaluation."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from asam_trt.jitter import JITTERS, REFERENCE_SIDE, moved_box


@dataclass(frozen=True)
class BoxPerturbation:
    """Scale a box about its centre and shift it, both drawn uniformly.

    Attributes:
        scale: (low, high) factor of width and height, drawn for each.
        shift: largest shift in x and in y, pixels of a 128-pixel image; grows with the longer image side.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 0.0

    def __call__(
        self, box: npt.ArrayLike, size: tuple[int, int], rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        """Perturb one box.

        Args:
            box: xyxy in pixels of the image.
            size: (height, width) of the image.
            rng: source of the two scales and two shifts.

        Returns:
            float32 [4], clipped to the image and at least one pixel wide and high.
        """
        reach = self.shift * max(size) / REFERENCE_SIDE
        scale = rng.uniform(*self.scale, size=2)
        return moved_box(box, size, scale, rng.uniform(-reach, reach, size=2)).astype(np.float32)


@dataclass(frozen=True)
class CornerJitter:
    """The published code's jitter: one scale for width and height, about the top left corner, and a shift.

    Attributes:
        scale: (low, high) factor.
        shift: largest shift in x and in y, whole pixels of a 128-pixel image.
    """

    scale: tuple[float, float] = (0.6, 1.5)
    shift: int = 10

    def __call__(
        self, box: npt.ArrayLike, size: tuple[int, int], rng: np.random.Generator
    ) -> npt.NDArray[np.float32]:
        """Perturb one box; arguments and result as of :class:`BoxPerturbation`."""
        x0, y0, x1, y1 = np.asarray(box, dtype=np.float64)
        height, width = size
        pixel = max(size) / REFERENCE_SIDE
        extent = np.array([x1 - x0, y1 - y0]) * rng.uniform(*self.scale)
        start = np.array([x0, y0]) + pixel * rng.integers(-self.shift, self.shift, size=2, endpoint=True)
        limit = np.array([width, height], dtype=np.float64)
        low = np.clip(start, 0, limit - 1)
        high = np.clip(start + extent, low + 1, limit)
        return np.concatenate([low, high]).astype(np.float32)


Perturbation = Callable[[npt.ArrayLike, tuple[int, int], np.random.Generator], npt.NDArray[np.float32]]

PERTURBATIONS: dict[str, Perturbation] = {
    **{name: BoxPerturbation(scale=one.scale, shift=one.shift) for name, one in JITTERS.items()},
    "train": BoxPerturbation(scale=(0.8, 1.2), shift=8),
    "published": CornerJitter(),
}
"""Families: those of :data:`asam_trt.jitter.JITTERS`; "train", the paper's training jitter; "published", its code's."""

PromptBox = Literal["smallest", "widest"]


def rater_box(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32] | None:
    """One rater's box as the published code draws it: two pixels (of 128) beyond the outermost ones it holds.

    Args:
        mask: bool [H, W].

    Returns:
        float32 [4], xyxy; may reach over the image's edge. None for an empty mask.
    """
    rows, columns = mask.nonzero()
    if not len(rows):
        return None
    margin = 2 * max(mask.shape) / REFERENCE_SIDE
    box = np.array([columns.min(), rows.min(), columns.max(), rows.max()]) + margin * np.array([-1, -1, 1, 1])
    return np.asarray(box, dtype=np.float32)


def widest_box(masks: npt.NDArray[np.bool_]) -> npt.NDArray[np.float32] | None:
    """The published code's prompt: the :func:`rater_box` of largest width plus height; None where all are empty."""
    boxes = [box for mask in masks if (box := rater_box(mask)) is not None]
    widest: npt.NDArray[np.float32] | None = max(boxes, key=_extent, default=None)
    return widest


def _extent(box: npt.NDArray[np.float32]) -> float:
    return float(box[2] - box[0] + box[3] - box[1])


def moved_mask(mask: npt.NDArray[np.bool_], old: npt.ArrayLike, new: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """The mask shifted and scaled as a box was: what lay at ``old`` lies at ``new``.

    Args:
        mask: bool [H, W].
        old, new: boxes, xyxy in pixels, of positive size.

    Returns:
        bool [H, W]; False where the mask came from outside the image.
    """
    before, after = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    scale = (before[2:] - before[:2]) / (after[2:] - after[:2])
    offset = before[:2] - after[:2] * scale
    height, width = mask.shape
    x = np.floor((np.arange(width) + 0.5) * scale[0] + offset[0]).astype(int)
    y = np.floor((np.arange(height) + 0.5) * scale[1] + offset[1]).astype(int)
    inside = ((y >= 0) & (y < height))[:, None] & ((x >= 0) & (x < width))
    found = mask[np.ix_(y.clip(0, height - 1), x.clip(0, width - 1))]
    return np.asarray(found & inside)


_MOST_POINTS = 1024  # of one sort; both and a box fit into a prompt


@dataclass(frozen=True, kw_only=True)
class PromptMix:
    """How often each kind of prompt is asked in training, relative to the others.

    A sample whose question is a click is always asked by that click: its masks answer no other question.

    Attributes:
        own: the sample's own question, its box.
        box: the box.
        points: one to ``most_points`` points on the object and none to ``most_points`` off it.
        mask: an earlier mask of the object.
        mixed: points and a box, and every other time a mask too.
        none: nothing at all.
        most_points: largest number of points of one sort.
    """

    own: float = 1.0
    box: float = 0.0
    points: float = 0.0
    mask: float = 0.0
    mixed: float = 0.0
    none: float = 0.0
    most_points: int = 3

    def __post_init__(self) -> None:
        shares = self.shares()
        for kind, share in shares.items():
            if not 0 <= share <= sys.float_info.max:
                raise ValueError(f"prompts.{kind}: expected a finite number >= 0, got {share}")
        if not sum(shares.values()) > 0:
            raise ValueError("prompts: expected at least one kind with a share above 0, got none")
        if sum(shares.values()) > sys.float_info.max:
            raise ValueError(
                "prompts: expected shares with a finite sum, got too large ones; only their ratios count"
            )
        if not 1 <= self.most_points <= _MOST_POINTS:
            raise ValueError(f"prompts.most_points: expected 1 to {_MOST_POINTS}, got {self.most_points}")

    def shares(self) -> dict[str, float]:
        """Share by kind."""
        return {k: v for k, v in asdict(self).items() if k != "most_points"}

    def draw(self, rng: np.random.Generator) -> str:
        """One kind."""
        shares = self.shares()
        weights = np.array(list(shares.values()))
        return str(rng.choice(list(shares), p=weights / weights.sum()))
