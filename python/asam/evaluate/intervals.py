"""Intervals of means by resampling whole groups (patients)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 1000
FEWEST_GROUPS = 5
"""With fewer groups nobody is called better or worse: intervals from so few are too short."""

_GATHERED = 1 << 20  # groups of several resamples at once: a few hundred megabytes of figures

Interval = tuple[float, float]


def group_intervals(table: NDArray[np.float64], groups: Sequence[str], *, seed: int) -> list[Interval]:
    """2.5 and 97.5 percent points of each column's mean over samples, whole groups drawn with replacement.

    Samples of one patient are alike; drawing samples one by one would make intervals too short.

    Args:
        table: float64 [samples, columns]; NaN entries are left out of their column's mean.
        groups: the group of each sample.
        seed: of the resampling.

    Returns:
        (low, high) by column; NaN where fewer than two groups have a value, since one says nothing of spread.
    """
    member, drawn = draw_groups(groups, seed=seed)
    count = drawn.shape[1]
    present = ~np.isnan(table)
    sums, sizes = (np.zeros((count, table.shape[1])) for _ in range(2))
    np.add.at(sums, member, np.where(present, table, 0.0))
    np.add.at(sizes, member, present.astype(np.float64))
    total, mass = (np.empty((RESAMPLES, table.shape[1])) for _ in range(2))
    step = max(1, _GATHERED // drawn.shape[1])
    for first in range(0, RESAMPLES, step):
        part = slice(first, first + step)
        total[part], mass[part] = sums[drawn[part]].sum(axis=1), sizes[drawn[part]].sum(axis=1)
    means = np.where(mass > 0, total / np.where(mass > 0, mass, 1.0), np.nan)
    found: list[Interval] = []
    for column in range(table.shape[1]):
        values = means[:, column]
        values = values[~np.isnan(values)]
        if np.count_nonzero(sizes[:, column]) < 2:
            found.append((float("nan"), float("nan")))
        else:
            low, high = np.percentile(values, [2.5, 97.5])
            found.append((float(low), float(high)))
    return found


def draw_groups(groups: Sequence[str], *, seed: int) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
    """Number of each sample's group, [samples]; and groups drawn with replacement, [RESAMPLES, number of groups]."""
    _, member = np.unique(np.asarray(groups), return_inverse=True)
    count = int(member.max()) + 1
    return member, np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
