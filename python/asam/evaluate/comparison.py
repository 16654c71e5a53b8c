"""Two reports on the same samples, figure by figure: intervals of the difference are much shorter than of either."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from asam.evaluate.intervals import FEWEST_GROUPS, Interval, group_intervals
from asam.evaluate.protocol import LOWER_IS_BETTER
from asam.evaluate.report import Report, nulls

_SAME = ("protocol", "n", "seed", "prompt", "conventions", "samples", "data_sha256")
_OF_DATA = ("ged_floor",)  # says nothing of a model

Verdict = Literal["A", "B", "undecided", "too few groups"]


@dataclass(frozen=True)
class Difference:
    """One figure of two methods, A and B.

    Attributes:
        a, b: means over the samples that have the figure for both; NaN where none has.
        difference: mean of B - A.
        interval: its 95 percent interval, whole groups drawn with replacement; NaN with fewer than two groups.
        samples: that have the figure for both.
        better: "undecided" where the interval holds 0, "too few groups" with fewer than
            :data:`asam.evaluate.intervals.FEWEST_GROUPS`.
    """

    a: float
    b: float
    difference: float
    interval: Interval
    samples: int
    better: Verdict


@dataclass(frozen=True)
class Comparison:
    """Two methods with the same number of hypotheses for the same samples.

    Attributes:
        a, b: their names.
        n: hypotheses a sample.
        samples, groups: how many were compared.
        figures: difference by figure.
    """

    a: str
    b: str
    n: int
    samples: int
    groups: int
    figures: dict[str, Difference]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; null for NaN."""
        found: dict[str, Any] = nulls(asdict(self))
        return found


def compare(a: Report, b: Report, *, seed: int = 0) -> Comparison:
    """B - A of every figure, sample by sample, with intervals from resampling whole groups (patients).

    Args:
        a, b: of :func:`asam.evaluate.evaluate`.
        seed: of the resampling.

    Raises:
        ValueError: reports of other samples, protocols, prompts, seeds or numbers of hypotheses, or without figures of
            each sample.
    """
    different = [
        f"{name} {getattr(a, name)!r} and {getattr(b, name)!r}"
        for name in _SAME
        if getattr(a, name) != getattr(b, name)
    ]
    if different:
        raise ValueError(
            f"expected reports on the same samples, asked and judged alike, got {'; '.join(different)}; judge both "
            "with the same options"
        )
    if not a.per_sample or not b.per_sample:
        raise ValueError("expected figures of each sample, got a report without them; judge again")
    if list(a.means) != list(b.means):
        raise ValueError(f"expected the same figures, got {', '.join(a.means)} and {', '.join(b.means)}")
    samples = [[(one.id, one.group) for one in report.per_sample] for report in (a, b)]
    if samples[0] != samples[1]:
        one, other = next(pair for pair in zip(*samples, strict=False) if pair[0] != pair[1])
        raise ValueError(
            f"expected the same samples in the same order, got {one[0]} of {one[1]} and {other[0]} of {other[1]}"
        )
    groups = [one.group for one in a.per_sample]
    names = [name for name in a.means if name not in _OF_DATA]
    first, second = (_table(report, names) for report in (a, b))
    paired = second - first
    absent = np.isnan(paired)
    first[absent] = second[absent] = np.nan
    spans = group_intervals(paired, groups, seed=seed)
    figures = {}
    for place, name in enumerate(names):
        present = ~absent[:, place]
        count = len({group for group, there in zip(groups, present, strict=True) if there})
        figures[name] = Difference(
            a=_mean(first[present, place]),
            b=_mean(second[present, place]),
            difference=_mean(paired[present, place]),
            interval=spans[place],
            samples=int(present.sum()),
            better=_verdict(name, spans[place], count),
        )
    return Comparison(a.method, b.method, a.n, len(groups), len(set(groups)), figures)


def _table(report: Report, names: Sequence[str]) -> NDArray[np.float64]:
    return np.array([[one.values[name] for name in names] for one in report.per_sample], dtype=np.float64)


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _verdict(name: str, interval: Interval, groups: int) -> Verdict:
    if groups < FEWEST_GROUPS:
        return "too few groups"
    low, high = interval
    if low <= 0 <= high:
        return "undecided"
    return "B" if (high < 0) == (name in LOWER_IS_BETTER) else "A"


def markdown(comparisons: Sequence[Comparison]) -> str:
    """A table, a row a figure and number of hypotheses."""
    lines = ["| figure | n | A | B | B - A | samples | better |", "|---" * 7 + "|"]
    for one in comparisons:
        for name, found in one.figures.items():
            direction = "lower" if name in LOWER_IS_BETTER else "higher"
            cells = [f"{name} ({direction} is better)", str(one.n), _shown(found.a), _shown(found.b)]
            cells += [_signed(found), str(found.samples), found.better]
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _shown(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.4f}"


def _signed(found: Difference) -> str:
    """To four places: precisions of an engine differ in the fourth."""
    if np.isnan(found.difference):
        return "-"
    low, high = found.interval
    return f"{found.difference:+.4f}" + ("" if np.isnan(low) else f" [{low:+.4f}, {high:+.4f}]")
