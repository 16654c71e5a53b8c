"""Means with intervals, and how they are shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from asam.evaluate.intervals import Interval, group_intervals
from asam_trt.counting import counted

if TYPE_CHECKING:
    from asam.evaluate.measure import Measured

_LARGEST = 1e300  # of a figure that is none


@dataclass(frozen=True)
class OfSample:
    """Figures of one sample.

    Attributes:
        id, group: of the sample.
        values: figure by name; NaN where it is undefined.
    """

    id: str
    group: str
    values: dict[str, float]


@dataclass(frozen=True)
class Report:
    """Means over samples with 95 percent intervals from resampling whole groups (patients).

    Attributes:
        method: its name.
        n: hypotheses a sample.
        seed: of prompts, hypotheses and the resampling.
        samples, groups: how many were looked at.
        means: figure by name; NaN where no sample has it.
        intervals: (low, high) by name; NaN where there are fewer than two groups.
        conventions: figure -> convention, plus the policy for two empty masks.
        prompt: where the prompt came from.
        protocol: its name.
        defined: samples that have the figure, by name; those without are left out of its mean.
        data_sha256: of the samples that were looked at.
        per_sample: figures of each of them, which :func:`asam.evaluate.compare` pairs.
    """

    method: str
    n: int
    seed: int
    samples: int
    groups: int
    means: dict[str, float]
    intervals: dict[str, Interval]
    conventions: dict[str, str]
    prompt: str
    protocol: str
    defined: dict[str, int] = field(default_factory=dict)
    data_sha256: str = ""
    per_sample: tuple[OfSample, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; null for NaN."""
        found: dict[str, Any] = nulls(asdict(self))
        return found

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> Report:
        """Inverse of :meth:`to_dict`.

        Raises:
            LookupError: something is missing.
            TypeError, ValueError: something else than that gives.
        """
        per_sample = tuple(_of_sample(one) for one in found["per_sample"])
        if len(per_sample) != found["samples"]:
            raise ValueError(
                f"expected figures of {found['samples']} samples, got those of {len(per_sample)}"
            )
        if uneven := next((one.id for one in per_sample if list(one.values) != list(found["means"])), None):
            raise ValueError(f"expected {', '.join(found['means'])} of each sample, got others of {uneven}")
        return cls(
            **{
                **found,
                "means": _numbers(found["means"]),
                "intervals": {
                    k: (_number(low), _number(high)) for k, (low, high) in found["intervals"].items()
                },
                "per_sample": per_sample,
            }
        )

    def cell(self, name: str) -> str:
        """A figure with its interval, as it stands in tables."""
        return cell(self.means[name], self.intervals[name])


def summarise(measured: Measured) -> Report:
    """Mean and interval of every figure."""
    table = measured.table
    present = (~np.isnan(table)).sum(axis=0)
    means = np.nansum(table, axis=0) / np.where(present > 0, present, np.nan)
    names = list(measured.values)
    return Report(
        method=measured.method,
        n=measured.n,
        seed=measured.seed,
        samples=len(measured.ids),
        groups=len(set(measured.groups)),
        means=dict(zip(names, means.tolist(), strict=True)),
        intervals=dict(zip(names, group_intervals(table, measured.groups, seed=measured.seed), strict=True)),
        conventions=dict(measured.conventions),
        prompt=measured.prompt,
        protocol=measured.protocol,
        defined=dict(zip(names, present.tolist(), strict=True)),
        data_sha256=measured.data_sha256,
        per_sample=tuple(
            OfSample(name, group, dict(zip(names, row, strict=True)))
            for name, group, row in zip(measured.ids, measured.groups, table.tolist(), strict=True)
        ),
    )


def _of_sample(found: Mapping[str, Any]) -> OfSample:
    name, group = found["id"], found["group"]
    if not (isinstance(name, str) and isinstance(group, str)):
        raise ValueError(
            f"expected words for the id and the group of each sample, got {name!r} and {group!r}"
        )
    return OfSample(name, group, _numbers(found["values"]))


def _numbers(found: Mapping[str, Any]) -> dict[str, float]:
    return {name: _number(value) for name, value in found.items()}


def _number(value: Any) -> float:
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not abs(value) <= _LARGEST:
        raise ValueError(f"expected finite figures, got {value!r:.20}")
    return float(value)


def cell(value: float, interval: Interval | None = None) -> str:
    """A number to three places with its interval; "-" where it is NaN."""
    if math.isnan(value):
        return "-"
    if interval is None or math.isnan(interval[0]):
        return f"{value:.3f}"
    return f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def nulls(value: Any) -> Any:
    """A copy of plain values with None for NaN, which JSON does not have."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, dict):
        return {k: nulls(v) for k, v in value.items()}
    return [nulls(v) for v in value] if isinstance(value, (list, tuple)) else value


def markdown(reports: Sequence[Report], *, header: Sequence[str] = ()) -> str:
    """A table, one row a report, under what all its rows share.

    Args:
        reports: at least one, of one protocol and data set.
        header: lines on data and models, put first.
    """
    first = reports[0]
    names = list(first.means)
    lines = [
        *header,
        f"protocol {first.protocol}, seed {first.seed}, "
        f"{counted(first.samples, 'sample')} of {counted(first.groups, 'group')}, prompt: "
        f"{first.prompt}; 95 percent intervals by group bootstrap",
        "conventions: " + ", ".join(f"{k} = {v}" for k, v in first.conventions.items()),
        f"data sha256 {first.data_sha256}",
    ]
    if first.groups < 2:
        lines.append("one group alone: no intervals")
    partial = {k: v for k, v in first.defined.items() if v < first.samples}
    if partial:
        counts = ", ".join(f"{k} for {v}" for k, v in partial.items())
        lines.append(
            f"defined for some of the {first.samples} samples only, and averaged over those: {counts}"
        )
    lines += ["", "| method | n | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for report in reports:
        cells = " | ".join(report.cell(name) for name in names)
        lines.append(f"| {report.method} | {report.n} | {cells} |")
    return "\n".join(lines)
