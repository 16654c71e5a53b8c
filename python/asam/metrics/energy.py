"""Generalised energy distance (GED) and the value a perfect sampler would score."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from asam.metrics.checks import (
    EMPTY_CHOICES,
    FORM_CHOICES,
    Empty,
    FloatArray,
    Form,
    choice,
    masks,
    rater_weights,
)
from asam.metrics.counts import PairCounts, distinct_pair_mean, overlap, pair_mean
from asam_trt.checks import integer

_MOST_HYPOTHESES = 1 << 53  # that float64 counts


def ged_from(
    counts: PairCounts, *, form: Form = "V", empty: Empty = "one", weights: Any = None
) -> FloatArray:
    """`ged` of counted pairs: float64 [...], one value an image; NaN where it is undefined."""
    choice(form, "form", FORM_CHOICES)
    choice(empty, "empty", EMPTY_CHOICES)
    rater = rater_weights(weights, counts.rater_area.shape)
    sample = rater_weights(None, counts.pred_area.shape)
    cross = 1.0 - overlap(counts.cross, counts.pred_area, counts.rater_area, empty=empty)
    pred = 1.0 - overlap(counts.within_pred, counts.pred_area, counts.pred_area, empty=empty)
    raters = 1.0 - overlap(counts.within_raters, counts.rater_area, counts.rater_area, empty=empty)
    spread = _spread(pred, sample, form) + _spread(raters, rater, form)
    return np.asarray(2.0 * pair_mean(cross, sample, rater) - spread)


def _spread(distances: FloatArray, weights: FloatArray, form: Form) -> FloatArray:
    """Mean distance within one set, [...]; NaN where form "U" has but one mask."""
    if form == "V":
        mean, alone = pair_mean(distances, weights, weights), np.False_
    else:
        mean, alone = distinct_pair_mean(distances, weights), (weights**2).sum(axis=-1) > 1.0 - 1e-12
    # Where every pair was skipped, all masks are empty: a set without spread. NaN would drop just the images
    # on which a model that answers nothing is wrong.
    return np.where(np.isnan(mean) & ~alone, 0.0, mean)


def ged(pred: Any, raters: Any, *, form: Form = "V", empty: Empty = "one", weights: Any = None) -> float:
    """Squared generalised energy distance between hypotheses and raters, with d = 1 - IoU.

    GED = 2 E d(S, Y) - E d(S, S') - E d(Y, Y').  Form "V" averages over all pairs, i = j included, as every
    published evaluator does; form "U" leaves i = j out of the last two terms, so that a perfect sampler
    scores 0 on average.

    Source: Kohl et al., "A Probabilistic U-Net", NeurIPS 2018; Szekely and Rizzo, "Energy statistics", 2013.

    Args:
        pred: bool [n, H, W], the hypotheses.
        raters: bool [m, H, W].
        form: "V" (at least 0, at most 2) or "U" (unbiased; may be negative; needs n >= 2 and two weighted
            raters).
        empty: IoU of two empty masks: "one", "zero", or "skip" (such pairs are left out; NaN if no cross pair
            is left).
        weights: float [m], how much each rater counts; None for equal.

    Returns:
        Lower is better.

    Raises:
        TypeError, ValueError: wrong dtype, shape or option; form "U" with a single hypothesis or rater.
    """
    counts = PairCounts.of(pred, raters)
    if form == "U":
        _need_two(counts.pred_area.shape[-1], "pred")
        _need_two(np.count_nonzero(rater_weights(weights, counts.rater_area.shape)), "raters")
    return float(ged_from(counts, form=form, empty=empty, weights=weights))


def ged_floor(
    raters: Any,
    n: int,
    *,
    form: Form = "V",
    empty: Empty = "one",
    weights: Any = None,
    raters_are: Literal["draws", "law"] = "draws",
) -> float:
    """Expected GED of a perfect sampler of n hypotheses: what no model can beat on average.

    "draws": the raters are independent draws from the law that the sampler knows: D (1/n + sum w_j^2), which
    is D (1/n + 1/m) for equal weights; D is the mean distance of two different raters.  "law": raters and
    weights *are* the law (a synthetic set's modes and probabilities): D_V / n with D_V the weighted mean over
    all pairs. Form "U" has floor 0.  Both follow from taking expectations term by term in the formula of
    `ged`.

    Args:
        raters: bool [m, H, W].
        n: number of hypotheses, 1 to 2^53.
        form, empty, weights: as in `ged`.
        raters_are: "draws" (needs at least two weighted raters) or "law".
    """
    choice(form, "form", FORM_CHOICES)
    choice(empty, "empty", EMPTY_CHOICES)
    choice(raters_are, "raters_are", ("draws", "law"))
    n = integer(n, "n")
    if not 1 <= n <= _MOST_HYPOTHESES:
        raise ValueError(f"n: expected 1 to 2^53 hypotheses, came {n if n < 1 else 'more'}")
    stack = masks(raters, "raters")
    w = rater_weights(weights, (len(stack),))
    if form == "U":
        return 0.0
    if raters_are == "draws":
        _need_two(np.count_nonzero(w), "raters")
    return float(
        ged_floor_from(PairCounts.of(stack[:1], stack), n, empty=empty, weights=w, raters_are=raters_are)
    )


def ged_floor_from(
    counts: PairCounts,
    n: int,
    *,
    empty: Empty = "one",
    weights: Any = None,
    raters_are: Literal["draws", "law"] = "draws",
) -> FloatArray:
    """`ged_floor` (V form) of counted pairs: float64 [...]; NaN where a single rater leaves it undefined."""
    w = rater_weights(weights, counts.rater_area.shape)
    distance = 1.0 - overlap(counts.within_raters, counts.rater_area, counts.rater_area, empty=empty)
    if raters_are == "law":
        return np.asarray(_spread(distance, w, "V") / n)
    return np.asarray(_spread(distance, w, "U") * (1.0 / n + (w**2).sum(axis=-1)))


def _need_two(count: int | np.integer[Any], name: str) -> None:
    if count < 2:
        raise ValueError(
            f"{name}: this form needs at least 2 masks with positive weight, came {count}; use form='V'"
        )
