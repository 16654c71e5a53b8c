"""Arguments of metrics at the edges of their types and ranges."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
import torch

from asam import metrics
from asam.metrics.checks import rater_weights

RATERS = np.random.default_rng(0).random((2, 6, 7)) < 0.5
PRED = np.random.default_rng(1).random((3, 6, 7)) < 0.5


@pytest.mark.parametrize("scale", [1e308, 5e-324])
def test_weights_of_any_size_are_shares(scale: float) -> None:
    np.testing.assert_array_equal(rater_weights([scale, scale], (2,)), [0.5, 0.5])
    assert metrics.ged(PRED, RATERS, weights=[scale, scale]) == metrics.ged(PRED, RATERS)


@pytest.mark.parametrize("weights", [["1", "2"], [1j, 2j], [None, 1]])
def test_weights_are_real_numbers(weights: Any) -> None:
    with pytest.raises(TypeError, match="real numbers"):
        metrics.ged(PRED, RATERS, weights=weights)


def test_counts_are_integers() -> None:
    for n in (1.5, "2", None, True):
        with pytest.raises(TypeError, match="expected n to be an integer"):
            metrics.ged_floor(RATERS, n)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="expected bins to be an integer"):
        metrics.ece(PRED, RATERS, bins=9.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("raters_are", ["draws", "law"])
@pytest.mark.parametrize("n", [0, 2**53 + 1, 10**400])
def test_the_floor_has_a_range(n: int, raters_are: Any) -> None:
    with pytest.raises(ValueError, match=r"n: expected 1 to 2\^53"):
        metrics.ged_floor(RATERS, n, raters_are=raters_are)


def test_tensors_that_numpy_cannot_read() -> None:
    masks = torch.from_numpy(PRED)
    for pred, advice in (
        (masks.to("meta"), "has no values"),
        (masks.to_sparse(), r"x\.detach\(\)\.to_dense"),
    ):
        with pytest.raises(TypeError, match=advice):
            metrics.ged(pred, RATERS)
    with pytest.raises(TypeError, match=r"x\.detach\(\)\.float\(\)"):
        metrics.ece(torch.rand(6, 7).bfloat16(), RATERS)


@pytest.mark.parametrize("bins", [0, (1 << 16) + 1, 10**12])
def test_bins_have_a_range(bins: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 65536"):
        metrics.reliability(PRED, RATERS, bins=bins)
    assert len(metrics.reliability(PRED, RATERS, bins=1 << 16).count) == 1 << 16


def test_pairs_have_a_limit() -> None:
    many = np.broadcast_to(PRED[:1, :1, :1], (200_000, 6, 7))
    for call in (lambda: metrics.ged(many, RATERS), lambda: metrics.dmax(PRED, many)):
        with pytest.raises(ValueError, match="at most 8192 masks of an image"):
            call()


def test_any_number_of_thresholds_takes_no_more_memory() -> None:
    tracemalloc.start()
    try:
        few = metrics.qubiq_dice(PRED, RATERS, thresholds=[0.25, 0.75])
        many = metrics.qubiq_dice(PRED, RATERS, thresholds=[0.25, 0.75] * 10_000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 24
    finally:
        tracemalloc.stop()
    assert many == pytest.approx(few)


def test_masked_arrays_are_refused() -> None:
    hidden = np.ma.masked_array(PRED, mask=~PRED)
    for call in (lambda: metrics.ged(hidden, RATERS), lambda: metrics.ece(hidden, RATERS)):
        with pytest.raises(TypeError, match="a masked one"):
            call()
