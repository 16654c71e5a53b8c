"""Prompts drawn for training samples, of every kind that SAM takes, and their rows for the network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam.data import Sample, smallest_box
from asam.prompts import PromptMix, moved_mask


@dataclass(frozen=True, eq=False)
class Question:
    """One prompt in pixels of the sample's image.

    Attributes:
        points: float32 [k, 2], x before y; k may be 0.
        labels: int64 [k], 1 object and 0 background.
        box: float32 [4], xyxy, or None.
        mask: bool [H, W], an earlier mask, or None.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64]
    box: NDArray[np.float32] | None = None
    mask: NDArray[np.bool_] | None = None

    def tokens(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Points [m, 2] and labels [m] as :class:`asam.model.prompts.Prompts` wants them, in the image's pixels."""
        if self.box is not None:
            points, labels = self.box.reshape(2, 2), [2, 3]
        elif len(self.points):
            points, labels = np.zeros((1, 2), dtype=np.float32), [-1]
        else:
            return self.points, self.labels
        return np.concatenate([self.points, points]), np.concatenate([self.labels, np.array(labels)])


def ask(
    sample: Sample,
    box: NDArray[np.float32],
    mix: PromptMix,
    rng: np.random.Generator,
    *,
    unmoved: NDArray[Any] | None = None,
) -> Question:
    """Draw a kind and a prompt of it.

    No prompt tells which rater's mask is the target: points lie where the raters agree, and the earlier mask is
    of a rater drawn anew. Where no rater marked anything there is nothing to point at, and the box is asked.

    Args:
        sample: its masks are looked at.
        box: that is asked, already perturbed; an earlier mask is moved as it was.
        mix: shares of the kinds.
        rng: source of all draws.
        unmoved: the box before it was perturbed; None stands for the sample's.
    """
    if sample.click is not None:
        return Question(sample.click.astype(np.float32)[None], np.ones(1, dtype=np.int64))
    kind = mix.draw(rng)
    nothing = Question(np.empty((0, 2), dtype=np.float32), np.empty(0, dtype=np.int64))
    if kind == "none":
        return nothing
    if kind in ("own", "box") or not sample.masks.any():
        return Question(nothing.points, nothing.labels, box)
    points, labels = nothing.points, nothing.labels
    if kind in ("points", "mixed"):
        points, labels = _points(sample, mix.most_points, rng)
    mask = None
    if kind == "mask" or (kind == "mixed" and rng.random() < 0.5):
        mask = _earlier(sample, sample.box if unmoved is None else unmoved, box, rng)
    return Question(points, labels, box if kind == "mixed" else None, mask)


def _points(
    sample: Sample, most: int, rng: np.random.Generator
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Centres of pixels that most raters hold, and of pixels near the object that none holds."""
    agreement = np.tensordot(sample.weights, sample.masks, axes=1)
    on = sample.masks.any(axis=0) & (agreement >= agreement.max() * (1 - 1e-4))
    off = ~sample.masks.any(axis=0) & _around(sample.masks)
    chosen = []
    for places, count in ((on, rng.integers(1, most + 1)), (off, rng.integers(0, most + 1))):
        rows, columns = places.nonzero()
        picked = rng.choice(len(rows), size=min(int(count), len(rows)), replace=False)
        chosen.append(np.stack([columns[picked], rows[picked]], axis=1).astype(np.float32) + 0.5)
    labels = np.repeat(np.array([1, 0], dtype=np.int64), [len(c) for c in chosen])
    return np.concatenate(chosen), labels


def _around(masks: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True [H, W] in the masks' box, made twice as wide and high."""
    box = smallest_box(masks)
    near = np.zeros(masks.shape[1:], dtype=np.bool_)
    if box is not None:
        margin = (box[2:] - box[:2]) / 2
        x0, y0 = np.maximum(box[:2] - margin, 0).astype(int)
        x1, y1 = np.ceil(box[2:] + margin).astype(int)
        near[y0:y1, x0:x1] = True
    return near


def _earlier(
    sample: Sample, old: NDArray[Any], new: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.bool_]:
    """The mask of a rater who marked something, moved as the box was."""
    marked: NDArray[np.float64] = np.asarray(sample.masks.any(axis=(1, 2)), dtype=np.float64)
    weights: NDArray[np.float64] = np.asarray(marked * sample.weights)
    if not weights.any():
        weights = marked
    chosen = int(rng.choice(len(sample.masks), p=weights / weights.sum()))
    return moved_mask(sample.masks[chosen], old, new)
