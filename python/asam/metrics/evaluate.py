"""Many metrics of one image, or of many images, from one count of the pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from asam.metrics.area import coverage_of_areas, crps_of_areas
from asam.metrics.calibration import ece
from asam.metrics.checks import (
    EMPTY_CHOICES,
    BoolArray,
    Empty,
    FloatArray,
    choice,
    mask_pair,
    rater_weights,
    share,
)
from asam.metrics.correlation import ncc
from asam.metrics.counts import PairCounts
from asam.metrics.dice import dmax_from, dmean_from, qubiq_dice
from asam.metrics.energy import ged_floor_from, ged_from
from asam.metrics.insight import collective_insight
from asam.metrics.matching import hm_iou_from
from asam_trt.kept import kept


@dataclass(frozen=True)
class _Batch:
    """Checked masks of B images with their pair counts and normalised weights [B, m]."""

    pred: BoolArray
    raters: BoolArray
    counts: PairCounts
    empty: Empty
    weights: FloatArray

    def each(self, of_image: Callable[[int], float]) -> FloatArray:
        return np.array([of_image(b) for b in range(len(self.pred))], dtype=np.float64)

    def part(self, images: slice) -> _Batch:
        return _Batch(
            self.pred[images],
            self.raters[images],
            self.counts.image(images),
            self.empty,
            self.weights[images],
        )

    @kept
    def chance(self) -> FloatArray:
        """Share of hypotheses that hold each pixel, [B, H, W]."""
        return share(self.pred)

    def areas(self, b: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        return (
            self.counts.pred_area[b].astype(np.float64),
            self.counts.rater_area[b].astype(np.float64),
            self.weights[b],
        )


_METRICS: Final[dict[str, Callable[[_Batch], FloatArray]]] = {
    "ged_v": lambda x: ged_from(x.counts, form="V", empty=x.empty, weights=x.weights),
    "ged_u": lambda x: ged_from(x.counts, form="U", empty=x.empty, weights=x.weights),
    "ged_floor": lambda x: ged_floor_from(x.counts, x.pred.shape[1], empty=x.empty, weights=x.weights),
    "hm_iou_repeated": lambda x: hm_iou_from(x.counts, matching="repeated", empty=x.empty),
    "hm_iou_rectangular": lambda x: hm_iou_from(x.counts, matching="rectangular", empty=x.empty),
    "hm_iou_emd": lambda x: hm_iou_from(x.counts, matching="emd", empty=x.empty, weights=x.weights),
    "dmax_any": lambda x: dmax_from(x.counts, kind="any", empty=x.empty),
    "dmax_per_sample": lambda x: dmax_from(x.counts, kind="per_sample", empty=x.empty),
    "dmax_per_rater": lambda x: dmax_from(x.counts, kind="per_rater", empty=x.empty, weights=x.weights),
    "dmean_pairs": lambda x: dmean_from(x.counts, empty=x.empty, weights=x.weights),
    "ncc": lambda x: x.each(lambda b: ncc(x.chance[b], x.raters[b], weights=x.weights[b])),
    "ci": lambda x: x.each(
        lambda b: collective_insight(x.pred[b], x.raters[b], counts=x.counts.image(b)).score
    ),
    "ece": lambda x: x.each(lambda b: ece(x.chance[b], x.raters[b], weights=x.weights[b])),
    "qubiq_dice": lambda x: x.each(
        lambda b: qubiq_dice(x.chance[b], x.raters[b], empty=x.empty, weights=x.weights[b])
    ),
    "area_crps": lambda x: x.each(lambda b: crps_of_areas(*x.areas(b))),
    "coverage_50": lambda x: x.each(lambda b: coverage_of_areas(*x.areas(b), level=0.5)),
    "coverage_90": lambda x: x.each(lambda b: coverage_of_areas(*x.areas(b), level=0.9)),
}

# Matrices of pairs that are worked on at once, in elements: what a processor's cache holds.
_CACHED_PAIRS: Final = 1 << 16

METRIC_NAMES: Final = tuple(_METRICS)


def evaluate_masks(
    pred: Any, raters: Any, *, names: Iterable[str] = METRIC_NAMES, empty: Empty = "one", weights: Any = None
) -> dict[str, float]:
    """Named metrics of one image; pairs are counted once.

    Args:
        pred: bool [n, H, W].
        raters: bool [m, H, W].
        names: any of `METRIC_NAMES`; each is the function of that name with the convention spelt out.
        empty: policy for two empty masks, for the metrics that have one.
        weights: float [m]; used by the metrics that average over raters ("hm_iou_repeated",
            "hm_iou_rectangular", "dmax_any", "dmax_per_sample" and "ci" do not).

    Returns:
        name -> value; NaN where the metric is undefined for this image (such as "ged_u" with a single rater).
    """
    a, b = mask_pair(pred, raters)
    values = evaluate_batch(a[None], b[None], names=names, empty=empty, weights=weights)
    return {name: float(value[0]) for name, value in values.items()}


def evaluate_batch(
    pred: Any, raters: Any, *, names: Iterable[str] = METRIC_NAMES, empty: Empty = "one", weights: Any = None
) -> dict[str, FloatArray]:
    """Named metrics of B images of one size, n hypotheses and m raters each.

    Args:
        pred: bool [B, n, H, W].
        raters: bool [B, m, H, W].
        names, empty: as in `evaluate_masks`.
        weights: float [m] or [B, m], used as in `evaluate_masks`.

    Returns:
        name -> float64 [B].
    """
    wanted = _checked(names)
    choice(empty, "empty", EMPTY_CHOICES)
    a, b = mask_pair(pred, raters, batched=True)
    batch = _Batch(a, b, PairCounts.of_batch(a, b), empty, rater_weights(weights, b.shape[:2]))
    step = max(1, _CACHED_PAIRS // a.shape[1] ** 2)
    parts = [batch.part(slice(k, k + step)) for k in range(0, len(a), step)]
    return {name: np.concatenate([_METRICS[name](part) for part in parts]) for name in wanted}


def _checked(names: Iterable[str]) -> Sequence[str]:
    wanted = list(names)
    unknown = [name for name in wanted if name not in _METRICS]
    if unknown:
        raise ValueError(f"names: expected any of {', '.join(METRIC_NAMES)}, came {', '.join(unknown)}")
    return wanted
