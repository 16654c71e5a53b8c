"""Rows over seeds: mean, spread between seeds, intervals over patients, and differences from the first variant."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asam.evaluate import Measured
from asam.evaluate.intervals import FEWEST_GROUPS, Interval, group_intervals
from asam.evaluate.protocol import LOWER_IS_BETTER
from asam.evaluate.report import cell, nulls
from asam_trt.counting import counted

COMPARED = ("ged", "hm_iou")
FEWEST_SEEDS = 2
"""With fewer seeds nobody is called better or worse."""


@dataclass(frozen=True)
class Row:
    """One method on one data set with one number of hypotheses.

    Attributes:
        data, method, n: which.
        seeds: of its training runs.
        samples, groups: judged in each run.
        means: figure -> mean over seeds of the runs' means over samples.
        sds: figure -> standard deviation over seeds of the runs' means (n - 1); NaN for one seed.
        intervals: figure -> 95 percent interval of the mean, patients drawn with replacement, each with all its
            samples of all seeds.
        differences: figure of :data:`COMPARED` -> (difference from the first method, its interval), paired by sample;
            empty for that method itself.
    """

    data: str
    method: str
    n: int
    seeds: tuple[int, ...]
    samples: int
    groups: int
    means: dict[str, float]
    sds: dict[str, float]
    intervals: dict[str, Interval]
    differences: dict[str, tuple[float, Interval]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; null for NaN."""
        found: dict[str, Any] = nulls(asdict(self))
        return found


def rows_of(data: str, runs: Sequence[tuple[int, Measured]], *, seed: int = 0) -> list[Row]:
    """Rows of all methods on one data set, in the order in which they first come.

    Args:
        runs: (training seed, figures), all on the same samples.
        seed: of the resampling.

    Raises:
        ValueError: runs that were judged on different samples.
    """
    digests = {measured.data_sha256 for _, measured in runs}
    if len(digests) > 1:
        raise ValueError(f"{data}: expected figures of the same samples, got {len(digests)} different sets")
    keys = list(dict.fromkeys((measured.method, measured.n) for _, measured in runs))
    reference = {n: _mean_table(runs, keys[0][0], n) for _, n in keys}
    rows = []
    for method, n in keys:
        chosen = _of(runs, method, n)
        first = chosen[0][1]
        names = list(first.values)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a figure that no sample has is NaN
            per_seed = np.array([np.nanmean(measured.table, axis=0) for _, measured in chosen])
        pooled = np.concatenate([measured.table for _, measured in chosen])
        intervals = group_intervals(pooled, [g for _, m in chosen for g in m.groups], seed=seed)
        differences = {}
        if method != keys[0][0] and reference[n] is not None:
            paired = _mean_table(runs, method, n) - reference[n]
            spans = group_intervals(paired, first.groups, seed=seed)
            for name in COMPARED:
                place = names.index(name)
                differences[name] = (_mean(paired[:, place]), spans[place])
        sds = per_seed.std(axis=0, ddof=1) if len(chosen) > 1 else np.full(len(names), np.nan)
        rows.append(
            Row(
                data=data,
                method=method,
                n=n,
                seeds=tuple(s for s, _ in chosen),
                samples=len(first.ids),
                groups=len(set(first.groups)),
                means=dict(zip(names, per_seed.mean(axis=0).tolist(), strict=True)),
                sds=dict(zip(names, sds.tolist(), strict=True)),
                intervals=dict(zip(names, intervals, strict=True)),
                differences=differences,
            )
        )
    return rows


def _of(runs: Sequence[tuple[int, Measured]], method: str, n: int) -> list[tuple[int, Measured]]:
    return [(seed, measured) for seed, measured in runs if (measured.method, measured.n) == (method, n)]


def _mean_table(runs: Sequence[tuple[int, Measured]], method: str, n: int) -> NDArray[np.float64]:
    """Figures of each sample, averaged over the method's seeds: float64 [samples, figures]."""
    tables = [measured.table for _, measured in _of(runs, method, n)]
    return np.asarray(np.mean(tables, axis=0))


def _mean(values: NDArray[np.float64]) -> float:
    present = values[~np.isnan(values)]
    return float(present.mean()) if len(present) else float("nan")


def markdown(rows: Sequence[Row]) -> str:
    """A section a data set: a table, and who is ahead."""
    parts = []
    for data in dict.fromkeys(row.data for row in rows):
        some = [row for row in rows if row.data == data]
        names = list(some[0].means)
        first = some[0]
        compared = [f"{name} - {first.method}'s" for name in COMPARED]
        lines = [
            f"## {data}",
            "",
            f"{counted(first.samples, 'sample')} of {counted(first.groups, 'group')}.",
            "",
            "| method | n | seeds | " + " | ".join([*names, *compared]) + " |",
            "|---" * (3 + len(names) + len(compared)) + "|",
        ]
        for row in some:
            cells = [_cell(row, name) for name in names]
            cells += [cell(*row.differences[name]) if row.differences else "" for name in COMPARED]
            lines.append(f"| {row.method} | {row.n} | {len(row.seeds)} | " + " | ".join(cells) + " |")
        parts.append("\n".join([*lines, "", *verdicts(some)]))
    return "\n\n".join(parts)


def _cell(row: Row, name: str) -> str:
    text = cell(row.means[name], row.intervals[name])
    sd = row.sds[name]
    return text if np.isnan(sd) else text.replace(" [", f" ± {sd:.3f} [", 1)


def verdicts(rows: Sequence[Row]) -> list[str]:
    """For each number of hypotheses and each compared figure of one data set: who is ahead of the first method.

    Ahead or behind is said where the paired interval of the difference leaves out 0, and nobody is judged where a
    row has fewer than :data:`FEWEST_SEEDS` seeds or :data:`FEWEST_GROUPS` groups.
    """
    lines = []
    for n in dict.fromkeys(row.n for row in rows):
        same = [row for row in rows if row.n == n]
        others = [row for row in same if row.differences]
        few = any(len(row.seeds) < FEWEST_SEEDS or row.groups < FEWEST_GROUPS for row in same)
        for name in COMPARED if others else ():
            title = f"- {name}, n = {n}, against {rows[0].method}"
            if few:
                lines.append(f"{title}: too few seeds or groups to judge")
                continue
            sign = -1 if name in LOWER_IS_BETTER else 1
            groups: dict[str, list[str]] = {"better": [], "worse": [], "undecided": []}
            for row in others:
                _, (low, high) = row.differences[name]
                if np.isnan(low) or low <= 0 <= high:
                    groups["undecided"].append(row.method)
                else:
                    groups["better" if sign * low > 0 else "worse"].append(row.method)
            said = "; ".join(f"{word}: {', '.join(who) or 'none'}" for word, who in groups.items())
            lines.append(f"{title}: {said}")
    return lines
