"""Dice scores of a set of hypotheses: Dmax, Dmean and QUBIQ's Dice at thresholds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias

import numpy as np

from asam.metrics.checks import (
    EMPTY_CHOICES,
    BoolArray,
    Empty,
    FloatArray,
    choice,
    map_and_raters,
    rater_weights,
    to_numpy,
)
from asam.metrics.counts import PairCounts, overlap, pair_mean

QUBIQ_THRESHOLDS: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)

MaxKind: TypeAlias = Literal["any", "per_sample", "per_rater"]
MeanKind: TypeAlias = Literal["pairs", "mean_logit"]


def dmax_from(
    counts: PairCounts, *, kind: MaxKind = "any", empty: Empty = "one", weights: Any = None
) -> FloatArray:
    """`dmax` of counted pairs: float64 [...], one value an image."""
    choice(kind, "kind", ("any", "per_sample", "per_rater"))
    choice(empty, "empty", EMPTY_CHOICES)
    if weights is not None and kind != "per_rater":
        raise ValueError(f"weights: expected None with kind={kind!r}, which does not average over raters")
    dice = overlap(counts.cross, counts.pred_area, counts.rater_area, empty=empty, kind="dice")
    # -1 stands for "skipped": it never wins, and shows where nothing was left to win.
    dice = np.nan_to_num(dice, nan=-1.0)
    if kind == "any":
        best = dice.max(axis=(-2, -1))[..., None]
        share = np.ones_like(best)
    elif kind == "per_sample":
        best = dice.max(axis=-1)
        share = np.ones_like(best)
    else:
        best = dice.max(axis=-2)
        share = rater_weights(weights, counts.rater_area.shape)
    share = np.where(best < 0.0, 0.0, share)
    mass = share.sum(axis=-1)
    return np.where(mass > 0.0, (best * share).sum(axis=-1) / np.where(mass > 0.0, mass, 1.0), np.nan)


def dmax(
    pred: Any, raters: Any, *, kind: MaxKind = "any", empty: Empty = "one", weights: Any = None
) -> float:
    """Maximum Dice of hypotheses against raters, Dice = 2 |A and B| / (|A| + |B|).

    "any": the best pair of all, max_ij (A-SAM's published code).  "per_sample": mean over hypotheses of the
    best rater.
    "per_rater": mean over raters of the best hypothesis (the maximum Dice matching of CIMD, Rahman et al.,
    2023).

    Args:
        pred: bool [n, H, W].
        raters: bool [m, H, W].
        kind: see above.
        empty: Dice of two empty masks: "one", "zero" or "skip" (such pairs are left out; NaN if none is
            left).
        weights: float [m]; only with "per_rater".

    Returns:
        In [0, 1], higher is better.
    """
    return float(dmax_from(PairCounts.of(pred, raters), kind=kind, empty=empty, weights=weights))


def dmean_from(counts: PairCounts, *, empty: Empty = "one", weights: Any = None) -> FloatArray:
    """`dmean` of kind "pairs" of counted pairs: float64 [...], one value an image."""
    choice(empty, "empty", EMPTY_CHOICES)
    dice = overlap(counts.cross, counts.pred_area, counts.rater_area, empty=empty, kind="dice")
    return pair_mean(
        dice, rater_weights(None, counts.pred_area.shape), rater_weights(weights, counts.rater_area.shape)
    )


def dmean(
    pred: Any, raters: Any, *, kind: MeanKind = "pairs", empty: Empty = "one", weights: Any = None
) -> float:
    """Mean Dice of hypotheses against raters.

    "pairs": mean over all pairs of a hypothesis and a rater (A-SAM's text).  "mean_logit": the mean of the
    hypotheses' logits, thresholded at 0, against each rater (A-SAM's published code); `pred` then holds
    logits.

    Args:
        pred: bool [n, H, W]; floating logits [n, H, W] for "mean_logit".
        raters: bool [m, H, W].
        kind: see above.
        empty: Dice of two empty masks: "one", "zero" or "skip" (such pairs are left out; NaN if none is
            left).
        weights: float [m]; None for equal.

    Returns:
        In [0, 1], higher is better.
    """
    choice(kind, "kind", ("pairs", "mean_logit"))
    if kind == "mean_logit":
        logits = to_numpy(pred)
        if not np.issubdtype(logits.dtype, np.floating):
            raise TypeError(f"pred: expected floating logits [n, H, W] for 'mean_logit', came {logits.dtype}")
        if logits.ndim != 3 or 0 in logits.shape:
            raise ValueError(
                f"pred: expected logits [n, H, W] for 'mean_logit', came shape {list(logits.shape)}"
            )
        if not np.isfinite(logits).all():
            raise ValueError("pred: expected finite logits for 'mean_logit', came NaN or infinity")
        pred = logits.mean(axis=0, dtype=np.float64, keepdims=True) > 0.0
    return float(dmean_from(PairCounts.of(pred, raters), empty=empty, weights=weights))


def qubiq_dice(
    pred: Any,
    raters: Any,
    *,
    thresholds: Sequence[float] = QUBIQ_THRESHOLDS,
    empty: Empty = "one",
    weights: Any = None,
) -> float:
    """Dice between the mean maps of hypotheses and of raters, averaged over thresholds that cut both.

    mean_t Dice(p >= t, q >= t), p the share of hypotheses and q the share of raters that hold a pixel.
    Source: QUBIQ challenge (Li et al., "QUBIQ: Uncertainty quantification for biomedical image segmentation",
    2024).

    Args:
        pred: bool [n, H, W], or a probability map float [H, W].
        raters: bool [m, H, W].
        thresholds: each in (0, 1]; default 0.1, 0.2, ..., 0.9.
        empty: Dice where both maps stay below the threshold: "one", "zero" or "skip".
        weights: float [m]; None for equal.

    Returns:
        In [0, 1], higher is better; NaN when every threshold is skipped.
    """
    choice(empty, "empty", EMPTY_CHOICES)
    p, stack, w = map_and_raters(pred, raters, weights)
    cuts = np.asarray(thresholds, dtype=np.float64)
    if cuts.ndim != 1 or not len(cuts) or not (cuts.min() > 0.0 and cuts.max() <= 1.0):
        raise ValueError(f"thresholds: expected a list of values in (0, 1], came {thresholds!r}")
    q = np.tensordot(w, stack, axes=1)
    # A share such as 3 x 0.1 misses 0.3 by rounding; a pixel held by exactly that share belongs to the cut.
    slack = 1e-9
    areas = np.array([_cut_areas(p >= cut - slack, q >= cut - slack) for cut in cuts])
    shared, p_area, q_area = areas.T[..., None]
    values = overlap(shared[..., None], p_area, q_area, empty=empty, kind="dice")
    return float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")


def _cut_areas(p: BoolArray, q: BoolArray) -> tuple[int, int, int]:
    """Pixels that two masks share, and those of each."""
    return int(np.count_nonzero(p & q)), int(np.count_nonzero(p)), int(np.count_nonzero(q))
