"""A box that follows what it was drawn around, and says when it has lost it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from asam_trt.hypotheses import BoolArray, Hypotheses
from asam_trt.paired_iou import mean_iou

Box = tuple[float, float, float, float]

LOST_BELOW = 0.2  # a confidence that is not believed
DOUBTED_BELOW = 0.5  # a continuity that a cut, or a jump to something else, falls short of: see docs/video.md
_PATIENCE = 5
_SMOOTHING = 0.35  # of the old box: damps the jitter of the mask's outline
_MOST_GROWTH = 1.2  # of a side, a frame
_TRIM = 0.01  # of the mask's pixels beyond each side of its box: specks do not count
_ROOM = 0.05  # of a side
_BINS = 8
_ADAPTATION = 0.05  # of the remembered colours a frame: light changes slowly


class Step(NamedTuple):
    """Where the box goes after one frame.

    box: for the next frame. confidence: 0..1. lost: no longer followed, from here on. continuity: 0..1; None in the
    first frame, and where there are more or fewer hypotheses than before.
    """

    box: Box
    confidence: float
    lost: bool
    continuity: float | None


class BoxFollower:
    """Moves a box with the consensus mask.

    The confidence of a frame is the product of three numbers from 0 to 1: how far the hypotheses agree (soft
    IoU of their mean with the consensus), how steady the area is against the frame before, and how alike the
    colours inside are to those remembered (Bhattacharyya coefficient). Below 0.2 the box stays where it is;
    after five such frames in a row the object counts as lost for good.

    The continuity is the mean IoU of each hypothesis with itself in the frame before, in model space. Noise that is
    kept makes hypothesis i the same reading from frame to frame, so that all of them change at once only where the
    picture or what is seen in the box does. The box does not depend on it.
    """

    def __init__(self, box: Box) -> None:
        self.box = box
        self.lost = False
        self.steps = 0
        self._margins: npt.NDArray[np.float64] | None = None
        self._colours: npt.NDArray[np.float64] | None = None
        self._area = 0
        self._misses = 0
        self._before: BoolArray | None = None

    def update(self, image: npt.NDArray[Any], hypotheses: Hypotheses) -> Step:
        """Follow one frame: its image [H, W, 3] and the hypotheses that `box` gave on it."""
        self.steps += 1
        masks = _in_model_space(hypotheses)
        before, self._before = self._before, masks
        continuity = None if before is None or before.shape != masks.shape else mean_iou(before, masks)
        if self.lost:
            return Step(self.box, 0.0, True, continuity)
        mask = hypotheses.consensus()
        area = int(np.count_nonzero(mask))
        confidence = self._confidence(image, hypotheses, mask, area) if area else 0.0
        if confidence < LOST_BELOW:
            self._misses += 1
        else:
            self._misses = 0
            self._area = area
            self.box = self._moved(mask)
        self.lost = self._misses >= _PATIENCE
        return Step(self.box, confidence, self.lost, continuity)

    def _confidence(
        self, image: npt.NDArray[Any], hypotheses: Hypotheses, mask: BoolArray, area: int
    ) -> float:
        mean = hypotheses.mean
        inside = float(mean[mask].sum(dtype=np.float64))
        agreement = inside / (float(mean.sum(dtype=np.float64)) + area - inside)
        steady = min(area, self._area) / max(area, self._area) if self._area else 1.0
        colours = _histogram(image[mask])
        if self._colours is None:
            self._colours = colours
        alike = float(np.sqrt(self._colours * colours).sum())
        confidence = agreement * steady * alike
        if confidence >= LOST_BELOW:
            self._colours = (1 - _ADAPTATION) * self._colours + _ADAPTATION * colours
        return confidence

    def _moved(self, mask: BoolArray) -> Box:
        tight = np.array(mask_box(mask))
        size = np.maximum(tight[2:] - tight[:2], 1.0)
        old = np.array(self.box)
        if self._margins is None:
            # The user's own slack around the object, as shares of its size, is kept from then on.
            slack = np.concatenate([tight[:2] - old[:2], old[2:] - tight[2:]]) / np.tile(size, 2)
            self._margins = np.clip(slack, 0.0, 0.5)
        low = tight[:2] - self._margins[:2] * size
        high = tight[2:] + self._margins[2:] * size
        centre = _SMOOTHING * (old[:2] + old[2:]) / 2 + (1 - _SMOOTHING) * (low + high) / 2
        before = old[2:] - old[:2]
        side = _SMOOTHING * before + (1 - _SMOOTHING) * (high - low)
        side = np.clip(side, before / _MOST_GROWTH, before * _MOST_GROWTH)
        x0, y0, x1, y1 = np.concatenate([centre - side / 2, centre + side / 2]).tolist()
        return x0, y0, x1, y1


def _in_model_space(hypotheses: Hypotheses) -> BoolArray:
    """bool [n, h, w], the masks at the resolution of their logits, without padding."""
    side = hypotheses.logits.shape[1]
    h, w = (math.ceil(side * pixels / hypotheses.frame.side) for pixels in hypotheses.frame.input)
    return np.asarray(hypotheses.logits[:, :h, :w] > 0)


def mask_box(mask: BoolArray) -> Box:
    """Box xyxy of a mask that has pixels, without the outermost percent of them on each side."""
    x0, x1 = _span(mask.sum(axis=0))
    y0, y1 = _span(mask.sum(axis=1))
    return x0, y0, x1, y1


def box_around(mask: BoolArray) -> Box:
    """`mask_box` with a little room on each side, as people draw boxes."""
    x0, y0, x1, y1 = mask_box(mask)
    dx, dy = _ROOM * (x1 - x0), _ROOM * (y1 - y0)
    return x0 - dx, y0 - dy, x1 + dx, y1 + dy


def _span(profile: npt.NDArray[np.integer[Any]]) -> tuple[float, float]:
    share = np.cumsum(profile) / profile.sum()
    first = int(np.searchsorted(share, _TRIM, side="right"))
    last = int(np.searchsorted(share, 1 - _TRIM, side="left"))
    return float(first), float(last + 1)


def _histogram(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Colours [k, 3] -> shares of 8 x 8 x 8 bins, smoothed: noise at an edge between bins counts little."""
    unit = pixels.astype(np.float64) / 255 if pixels.dtype == np.uint8 else pixels.astype(np.float64)
    bins = np.clip(unit * _BINS, 0, _BINS - 1).astype(np.intp)
    flat = (bins[:, 0] * _BINS + bins[:, 1]) * _BINS + bins[:, 2]
    counts = np.bincount(flat, minlength=_BINS**3).reshape(_BINS, _BINS, _BINS).astype(np.float64)
    for axis in range(3):
        padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        lower, middle, upper = (np.take(padded, range(i, i + _BINS), axis=axis) for i in range(3))
        counts = 0.25 * lower + 0.5 * middle + 0.25 * upper
    return np.asarray(counts / counts.sum())
