"""Intervals: whole groups are drawn, at the level that is said."""

from __future__ import annotations

import numpy as np
import pytest

from asam.evaluate.intervals import RESAMPLES, draw_groups, group_intervals


def test_samples_of_one_patient_do_not_count_as_so_many() -> None:
    """Each of 60 patients has ten equal samples: the interval is that of 60 values, not of 600."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=60)
    groups = [f"p{i}" for i in range(60) for _ in range(10)]
    ((low, high),) = group_intervals(values.repeat(10)[:, None], groups, seed=1)
    half = 1.96 * values.std() / np.sqrt(60)
    assert (high - low) / 2 == pytest.approx(half, rel=0.1)
    assert (high + low) / 2 == pytest.approx(values.mean(), abs=0.15 * half)


def test_equal_to_a_loop_over_draws() -> None:
    rng = np.random.default_rng(2)
    groups = ["a", "b", "b", "c", "c", "c", "d"]
    table = rng.normal(size=(7, 2))
    table[3, 1] = np.nan
    member, drawn = draw_groups(groups, seed=5)
    means = np.empty((RESAMPLES, 2))
    for k, some in enumerate(drawn):
        rows = np.concatenate([table[member == g] for g in some])
        means[k] = np.nanmean(rows, axis=0)
    expected = np.percentile(means, [2.5, 97.5], axis=0)
    np.testing.assert_allclose(np.array(group_intervals(table, groups, seed=5)).T, expected)


def test_one_group_says_nothing_of_spread() -> None:
    table = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, np.nan]])
    assert np.isnan(group_intervals(table, ["a", "a", "a"], seed=0)).all()
    first, second = group_intervals(table, ["a", "b", "c"], seed=0)
    assert 1 <= first[0] < first[1] <= 3
    assert np.isnan(second).all()
