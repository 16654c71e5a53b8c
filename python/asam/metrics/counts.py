"""Pixel counts of all pairs of masks of an image: computed once, read by every overlap metric."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from asam.metrics.checks import BoolArray, Empty, FloatArray, IntArray, mask_pair
from asam_trt import _ops

MAX_MASKS: Final = 1 << 13
"""Of one image: in float64, half a GiB for each matrix of pairs."""

_BOTH_EMPTY = {"one": 1.0, "zero": 0.0, "skip": np.nan}


@dataclass(frozen=True)
class PairCounts:
    """Areas and pairwise intersections, in pixels, of n hypotheses and m raters of one image or of a batch.

    Attributes:
        pixels: H * W.
        pred_area: int32 [..., n].
        rater_area: int32 [..., m].
        cross: int32 [..., n, m], |S_i and Y_j|.
        within_pred: int32 [..., n, n], |S_i and S_j|.
        within_raters: int32 [..., m, m], |Y_i and Y_j|.
    """

    pixels: int
    pred_area: IntArray
    rater_area: IntArray
    cross: IntArray
    within_pred: IntArray
    within_raters: IntArray

    @classmethod
    def of(cls, pred: Any, raters: Any) -> PairCounts:
        """Count the pairs of bool [n, H, W] hypotheses and bool [m, H, W] raters.

        Raises:
            TypeError, ValueError: no such masks, of different images, or more than `MAX_MASKS` of an image.
        """
        a, b = mask_pair(pred, raters)
        return cls._count(a[None], b[None]).image(0)

    @classmethod
    def of_batch(cls, pred: Any, raters: Any) -> PairCounts:
        """Count the pairs within each image of bool [B, n, H, W] and bool [B, m, H, W]."""
        return cls._count(*mask_pair(pred, raters, batched=True))

    @classmethod
    def _count(cls, pred: BoolArray, raters: BoolArray) -> PairCounts:
        for name, count in (("pred", pred.shape[1]), ("raters", raters.shape[1])):
            if count > MAX_MASKS:
                raise ValueError(
                    f"{name}: expected at most {MAX_MASKS} masks of an image, since all pairs are compared, came "
                    f"{count}; take fewer, {name}[:{MAX_MASKS}]"
                )
        cross, within_pred, within_raters = _ops.pair_counts(pred, raters)
        return cls(
            pixels=pred.shape[-1] * pred.shape[-2],
            pred_area=np.diagonal(within_pred, axis1=-2, axis2=-1),
            rater_area=np.diagonal(within_raters, axis1=-2, axis2=-1),
            cross=cross,
            within_pred=within_pred,
            within_raters=within_raters,
        )

    def image(self, index: int | slice) -> PairCounts:
        """The counts of one image of a batch, or of a range of images."""
        return PairCounts(
            pixels=self.pixels,
            pred_area=self.pred_area[index],
            rater_area=self.rater_area[index],
            cross=self.cross[index],
            within_pred=self.within_pred[index],
            within_raters=self.within_raters[index],
        )


def overlap(
    shared: IntArray,
    area_a: IntArray,
    area_b: IntArray,
    *,
    empty: Empty,
    kind: Literal["iou", "dice"] = "iou",
) -> FloatArray:
    """IoU |A and B| / |A or B|, or Dice 2 |A and B| / (|A| + |B|), of all pairs: float64 [..., n, m].

    A pair of two empty masks gets 1, 0 or NaN by `empty` ("one", "zero", "skip").
    """
    # 64 bits: the sum of two areas may pass 2^31.
    total = area_a.astype(np.int64)[..., :, None] + area_b[..., None, :]
    numerator, denominator = (shared, total - shared) if kind == "iou" else (2.0 * shared, total)
    out = np.asarray(numerator / np.maximum(denominator, 1))
    none_a, none_b = area_a == 0, area_b == 0
    if none_a.any() and none_b.any():
        out[none_a[..., :, None] & none_b[..., None, :]] = _BOTH_EMPTY[empty]
    return out


def pair_mean(values: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    """sum r_i c_j v_ij / sum r_i c_j over the pairs that are not NaN, float64 [...]; NaN where all are."""
    missing = np.isnan(values)
    if not missing.any():
        return _bilinear(values, rows, columns)
    mass = _bilinear((~missing).astype(np.float64), rows, columns)
    total = _bilinear(np.where(missing, 0.0, values), rows, columns)
    return _ratio(total, mass)


def distinct_pair_mean(values: FloatArray, weights: FloatArray) -> FloatArray:
    """`pair_mean` of a square matrix without its diagonal, with the same weights on both sides."""
    missing = np.isnan(values)
    kept = np.where(missing, 0.0, values)
    present = (~missing).astype(np.float64)
    squared = weights**2
    total = _bilinear(kept, weights, weights) - _trace(kept, squared)
    mass = _bilinear(present, weights, weights) - _trace(present, squared)
    return _ratio(total, mass)


def _bilinear(values: FloatArray, rows: FloatArray, columns: FloatArray) -> FloatArray:
    # einsum, because a threaded BLAS costs more than it saves on matrices of this size.
    return np.asarray(np.einsum("...i,...i->...", np.einsum("...ij,...j->...i", values, columns), rows))


def _trace(values: FloatArray, weights: FloatArray) -> FloatArray:
    return np.asarray((np.diagonal(values, axis1=-2, axis2=-1) * weights).sum(axis=-1))


def _ratio(total: FloatArray, mass: FloatArray) -> FloatArray:
    # Weights that concentrate on one mask leave a rounding error here, not an exact zero.
    usable = mass > 1e-12
    return np.where(usable, total / np.where(usable, mass, 1.0), np.nan)
