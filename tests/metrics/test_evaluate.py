"""One count of pairs for all metrics and images; inputs that are not masks."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from asam import metrics

RNG = np.random.default_rng(11)
PRED = RNG.random((6, 10, 17)) < 0.3
RATERS = RNG.random((3, 10, 17)) < 0.3
WEIGHTS = [0.5, 0.2, 0.3]

SINGLE: dict[str, Callable[..., float]] = {
    "ged_v": lambda p, y, w: metrics.ged(p, y, form="V", weights=w),
    "ged_u": lambda p, y, w: metrics.ged(p, y, form="U", weights=w),
    "ged_floor": lambda p, y, w: metrics.ged_floor(y, len(p), weights=w),
    "hm_iou_repeated": lambda p, y, w: metrics.hm_iou(p, y, matching="repeated"),
    "hm_iou_rectangular": lambda p, y, w: metrics.hm_iou(p, y, matching="rectangular"),
    "hm_iou_emd": lambda p, y, w: metrics.hm_iou(p, y, matching="emd", weights=w),
    "dmax_any": lambda p, y, w: metrics.dmax(p, y, kind="any"),
    "dmax_per_sample": lambda p, y, w: metrics.dmax(p, y, kind="per_sample"),
    "dmax_per_rater": lambda p, y, w: metrics.dmax(p, y, kind="per_rater", weights=w),
    "dmean_pairs": lambda p, y, w: metrics.dmean(p, y, kind="pairs", weights=w),
    "ncc": lambda p, y, w: metrics.ncc(p, y, weights=w),
    "ci": lambda p, y, w: metrics.ci(p, y),
    "ece": lambda p, y, w: metrics.ece(p, y, weights=w),
    "qubiq_dice": lambda p, y, w: metrics.qubiq_dice(p, y, weights=w),
    "area_crps": lambda p, y, w: metrics.area_crps(p, y, weights=w),
    "coverage_50": lambda p, y, w: metrics.interval_coverage(p, y, level=0.5, weights=w),
    "coverage_90": lambda p, y, w: metrics.interval_coverage(p, y, level=0.9, weights=w),
}


def test_every_name_is_its_function() -> None:
    """Areas spread widely and raters enough that every level of coverage has its own value."""
    rng = np.random.default_rng(0)
    pred, raters = (
        rng.random((12, 10, 17)) < rng.random((12, 1, 1)),
        rng.random((40, 10, 17)) < rng.random((40, 1, 1)),
    )
    weights = rng.random(40)
    assert (
        len({metrics.interval_coverage(pred, raters, level=level) for level in (0.4, 0.5, 0.6, 0.8, 0.9)})
        == 5
    )
    assert set(metrics.METRIC_NAMES) == set(SINGLE)
    values = metrics.evaluate_masks(pred, raters, weights=weights)
    assert values == pytest.approx({name: f(pred, raters, weights) for name, f in SINGLE.items()}, abs=1e-12)


def test_a_batch_is_its_images() -> None:
    """70 images of 40 hypotheses need more than one piece of work."""
    rng = np.random.default_rng(0)
    pred = rng.random((70, 40, 6, 5)) < rng.random((70, 1, 1, 1))
    raters = rng.random((70, 3, 6, 5)) < rng.random((70, 1, 1, 1))
    pred[:7], raters[5:9] = False, False
    weights = rng.random((70, 3))
    for empty in ("one", "zero", "skip"):
        batch = metrics.evaluate_batch(pred, raters, empty=empty, weights=weights)
        assert {value.shape for value in batch.values()} == {(70,)}
        for b in (0, 5, 6, 8, 33, 69):
            alone = metrics.evaluate_masks(pred[b], raters[b], empty=empty, weights=weights[b])
            both = {name: float(value[b]) for name, value in batch.items()}
            assert both == pytest.approx(alone, nan_ok=True, rel=1e-9, abs=1e-9)


def test_a_single_rater_leaves_the_unbiased_forms_undefined() -> None:
    values = metrics.evaluate_masks(PRED, RATERS[:1])
    assert {name for name, value in values.items() if math.isnan(value)} == {"ged_u", "ged_floor"}


def test_torch_masks_are_read_in_place() -> None:
    tensor = torch.from_numpy(PRED)
    assert metrics.evaluate_masks(tensor, torch.from_numpy(RATERS)) == metrics.evaluate_masks(PRED, RATERS)
    from asam.metrics.checks import masks

    assert np.shares_memory(masks(tensor, "pred"), PRED)


def test_strided_and_read_only_masks_count_alike() -> None:
    wide = RNG.random((12, 10, 34)) < 0.3
    view = wide[::2, :, ::2]
    frozen = view.copy()
    frozen.flags.writeable = False
    assert metrics.ged(view, RATERS) == metrics.ged(frozen, RATERS)


@pytest.mark.parametrize("name", ["ged", "hm_iou", "dmax", "dmean", "ci", "area_crps", "interval_coverage"])
def test_what_is_no_mask_is_refused(name: str) -> None:
    metric: Callable[..., Any] = getattr(metrics, name)
    with pytest.raises(TypeError, match=r"pred: expected bool \[n, H, W\], came float64 \[6, 10, 17\]"):
        metric(PRED.astype(np.float64), RATERS)
    with pytest.raises(TypeError, match="raters: expected bool"):
        metric(PRED, RATERS.astype(np.uint8))
    with pytest.raises(ValueError, match=r"pred: expected bool \[n, H, W\].*came shape \[10, 17\]"):
        metric(PRED[0], RATERS)
    with pytest.raises(ValueError, match=r"came shape \[0, 10, 17\]"):
        metric(PRED[:0], RATERS)
    with pytest.raises(ValueError, match=r"came shapes \[6, 10, 16\] and \[3, 10, 17\]"):
        metric(PRED[:, :, 1:], RATERS)


@pytest.mark.parametrize("name", ["ece", "qubiq_dice", "ncc"])
def test_what_is_no_map_is_refused(name: str) -> None:
    metric: Callable[..., Any] = getattr(metrics, name)
    with pytest.raises(TypeError, match="came int64"):
        metric(PRED.astype(np.int64), RATERS)
    with pytest.raises(ValueError, match="probabilities in"):
        metric(np.full((10, 17), 1.5), RATERS)
    with pytest.raises(ValueError, match="probabilities in"):
        metric(np.full((10, 17), np.nan), RATERS)
    with pytest.raises(ValueError, match="one image size"):
        metric(np.zeros((10, 16)), RATERS)


@pytest.mark.parametrize(
    "weights", [[1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 0.0, 0.0], [1.0, math.nan, 1.0], 1.0]
)
def test_bad_weights_are_refused(weights: Any) -> None:
    with pytest.raises(ValueError, match="weights: expected"):
        metrics.ged(PRED, RATERS, weights=weights)


def test_unknown_options_are_named() -> None:
    with pytest.raises(ValueError, match="form: expected one of 'V', 'U', came 'v'"):
        metrics.ged(PRED, RATERS, form="v")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="matching: expected one of 'repeated'"):
        metrics.hm_iou(PRED, RATERS, matching="hungarian")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="use 'emd'"):
        metrics.hm_iou(PRED, RATERS, weights=WEIGHTS)
    with pytest.raises(ValueError, match="does not average over raters"):
        metrics.dmax(PRED, RATERS, weights=WEIGHTS)
    with pytest.raises(ValueError, match="empty: expected"):
        metrics.dmean(PRED, RATERS, empty="nan")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="came iou"):
        metrics.evaluate_masks(PRED, RATERS, names=["ged_v", "iou"])
    with pytest.raises(ValueError, match=r"n: expected 1 to 2\^53 hypotheses, came 0"):
        metrics.ged_floor(RATERS, 0)
    with pytest.raises(ValueError, match="thresholds: expected"):
        metrics.qubiq_dice(PRED, RATERS, thresholds=[0.0])
