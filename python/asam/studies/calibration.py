"""Whether chances mean what they say, and the temperature of the latents that makes them fit better."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from operator import add
from typing import Any, Final

import numpy as np
from PIL import Image

from asam import metrics
from asam.data import Dataset, Sample
from asam.data.base import encoded
from asam.evaluate.asking import check_asked, sample_seed
from asam.evaluate.intervals import Interval, draw_groups, group_intervals
from asam.evaluate.report import cell, nulls
from asam.methods import prompt_of
from asam.metrics import Reliability
from asam.model import ASAM
from asam.progress import OnSample, Start
from asam.studies.plots import reliability_chart
from asam_trt import Hypotheses, Session
from asam_trt.counting import counted

LEVELS: Final = (0.5, 0.9)
GRID: Final = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0)
"""Temperatures that are tried."""

_FIGURES: Final = ("ged_u", "ged_v", "coverage_50", "coverage_90")


@dataclass(frozen=True)
class Tempered:
    """A-SAM, as a network or as an engine, with both latents' standard deviations times a temperature."""

    source: ASAM | Session
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if isinstance(self.source, Session) and self.source.engine.preprocessing.jitter is not None:
            raise ValueError(
                "calibration: expected an engine with latents, whose spread a temperature sets, got one whose "
                f"hypotheses are from {self.source.engine.readings}; asam evaluate judges it as it is"
            )

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return f"temperature {self.temperature:g}"

    def hypotheses(self, sample: Sample, *, n: int, seed: int) -> Hypotheses:
        """n draws; the noise of a seed is the same at every temperature."""
        asked = {**prompt_of(sample), "n": n, "seed": seed, "temperature": self.temperature}
        if isinstance(self.source, ASAM):
            return self.source.sample(sample.image, **asked)
        self.source.set_image(sample.image)
        found: Hypotheses = self.source.sample(**asked)
        return found


@dataclass(frozen=True)
class Calibration:
    """Of one temperature on some samples.

    Attributes:
        temperature, n, seed: of the hypotheses.
        samples, groups: looked at.
        figures: "ged_u" and "ged_v" (means over samples), "coverage_50" and "coverage_90" (share of raters whose area
            lies in the central interval of the hypotheses' areas); "ece", the expected calibration error of the mean
            map, all pixels of all samples in the same bins. Each with its interval.
        predicted, observed: of the reliability curve, by bin; NaN where no pixel falls.
        pixels: in each bin.
    """

    temperature: float
    n: int
    seed: int
    samples: int
    groups: int
    figures: dict[str, tuple[float, Interval]]
    predicted: tuple[float, ...]
    observed: tuple[float, ...]
    pixels: tuple[float, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; null for NaN."""
        found: dict[str, Any] = nulls(asdict(self))
        return found


@dataclass(frozen=True)
class Temperature:
    """A fit, and what it gives on samples that had no part in it.

    Attributes:
        best: the fitted temperature.
        curve: temperature -> mean GED (U form) on the fitting half.
        fitted: ids' groups of the fitting half.
        before, after: on the other half, at temperature 1 and at the best one.
        fit_before, fit_after: the same on the fitting half, where the choice flatters them.
    """

    best: float
    curve: dict[float, float]
    fitted: tuple[str, ...]
    before: Calibration
    after: Calibration
    fit_before: Calibration
    fit_after: Calibration

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; null for NaN."""
        parts = {
            name: getattr(self, name).to_dict() for name in ("before", "after", "fit_before", "fit_after")
        }
        curve = [{"temperature": t, "ged_u": v} for t, v in self.curve.items()]
        return nulls({"best": self.best, "curve": curve, "fitted_groups": list(self.fitted), **parts})  # type: ignore[no-any-return]


def calibrate(
    source: ASAM | Session,
    data: Dataset[Sample],
    *,
    temperature: float = 1.0,
    n: int = 32,
    seed: int = 0,
    bins: int = 10,
    places: Sequence[int] | None = None,
    on_sample: OnSample | None = None,
) -> Calibration:
    """Reliability of the mean map and coverage of area intervals.

    Args:
        source: what draws.
        data: sequence of samples, all of one law of prompts.
        temperature: of both latents.
        n: hypotheses a sample.
        seed: sample i is drawn with seed + i, modulo 2^64.
        bins: of the reliability curve.
        places: of the samples that are looked at; None looks at all.

    Raises:
        TypeError, ValueError: no sample, or n or seed out of range.
    """
    check_asked(n=n)
    chosen = range(len(data)) if places is None else places
    if not len(chosen):
        raise ValueError("calibration: expected at least one sample, got an empty data set")
    method = Tempered(source, temperature)
    curves: list[Reliability] = []
    rows: list[list[float]] = []
    groups: list[str] = []
    for done, index in enumerate(chosen, start=1):
        sample = data[index]
        masks = method.hypotheses(sample, n=n, seed=sample_seed(seed, index)).masks
        curves.append(metrics.reliability(masks, sample.masks, bins=bins, weights=sample.weights))
        found = metrics.evaluate_masks(masks, sample.masks, names=_FIGURES, weights=sample.weights)
        rows.append([found[name] for name in _FIGURES])
        groups.append(sample.group)
        if on_sample is not None:
            on_sample(done, len(chosen))
    values = np.array(rows)
    spans = group_intervals(values, groups, seed=seed)
    present = (~np.isnan(values)).sum(axis=0)
    means = np.nansum(values, axis=0) / np.where(present > 0, present, np.nan)
    whole = reduce(add, curves)
    figures = dict(zip(_FIGURES, zip(means.tolist(), spans, strict=True), strict=True))
    figures["ece"] = (whole.ece, _ece_interval(curves, groups, seed))
    return Calibration(
        temperature=temperature,
        n=n,
        seed=seed,
        samples=len(rows),
        groups=len(set(groups)),
        figures=figures,
        predicted=tuple(whole.predicted.tolist()),
        observed=tuple(whole.observed.tolist()),
        pixels=tuple(whole.count.tolist()),
    )


def _ece_interval(curves: Sequence[Reliability], groups: Sequence[str], seed: int) -> Interval:
    """Of the pooled error, whole groups drawn with replacement; NaN for a single group."""
    member, drawn = draw_groups(groups, seed=seed)
    count = drawn.shape[1]
    if count < 2:
        return float("nan"), float("nan")
    gaps, pixels = np.zeros((count, len(curves[0].count))), np.zeros(count)
    np.add.at(gaps, member, np.array([c.predicted_sum - c.observed_sum for c in curves]))
    np.add.at(pixels, member, np.array([c.count.sum() for c in curves]))
    errors = np.abs(gaps[drawn].sum(axis=1)).sum(axis=1) / pixels[drawn].sum(axis=1)
    low, high = np.percentile(errors, [2.5, 97.5])
    return float(low), float(high)


def mean_ged(
    source: ASAM | Session,
    data: Dataset[Sample],
    *,
    temperature: float,
    n: int = 32,
    seed: int = 0,
    places: Sequence[int] | None = None,
    on_sample: OnSample | None = None,
) -> float:
    """Mean GED in its U form, which needs no correction for n; NaN where every sample has a single rater.

    Arguments are those of :func:`calibrate`.
    """
    method = Tempered(source, temperature)
    values = []
    chosen = range(len(data)) if places is None else places
    for done, index in enumerate(chosen, start=1):
        sample = data[index]
        masks = method.hypotheses(sample, n=n, seed=sample_seed(seed, index)).masks
        found = metrics.evaluate_masks(masks, sample.masks, names=["ged_u"], weights=sample.weights)
        values.append(found["ged_u"])
        if on_sample is not None:
            on_sample(done, len(chosen))
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else float("nan")


def fit_temperature(
    source: ASAM | Session,
    data: Dataset[Sample],
    *,
    grid: Sequence[float] = GRID,
    n: int = 32,
    seed: int = 0,
    places: Sequence[int] | None = None,
    start: Start,
) -> Temperature:
    """The temperature of :data:`GRID` with the lowest mean GED (U form) on one half of the groups, judged on the other.

    A figure at a temperature that was chosen on the same samples would flatter it. The same noise at every temperature
    leaves the difference between two temperatures, and not that of two draws, to decide; equals go to the one nearest
    to 1.

    Args:
        source: what draws.
        data: a validation split of at least two groups.
        grid: temperatures that are tried, > 0.
        n: hypotheses a sample.
        seed: sample i is drawn with seed + i, in whichever half it is.
        places: of the samples that are looked at; None looks at all.

    Raises:
        ValueError: fewer than two groups, no temperature, or raters of whom no GED can be told.
    """
    if not grid or not all(t > 0 for t in grid):
        raise ValueError(f"grid: expected temperatures above 0, got {list(grid)}")
    fit, report = halves(data, places)
    asked: dict[str, Any] = {"n": n, "seed": seed}
    curve = {
        t: mean_ged(
            source, data, temperature=t, places=fit, on_sample=start(f"fit, temperature {t:g}"), **asked
        )
        for t in grid
    }
    if any(np.isnan(value) for value in curve.values()):
        raise ValueError("temperature: expected samples of two raters or more, got none in the fitting half")
    best = min(curve, key=lambda t: (curve[t], abs(np.log(t))))

    def at(half: Sequence[int], temperature: float, name: str) -> Calibration:
        show = start(f"{name} half, temperature {temperature:g}")
        return calibrate(source, data, temperature=temperature, places=half, on_sample=show, **asked)

    return Temperature(
        best=best,
        curve=curve,
        fitted=tuple(sorted({data.groups[place] for place in fit})),
        before=at(report, 1.0, "other"),
        after=at(report, best, "other"),
        fit_before=at(fit, 1.0, "fitting"),
        fit_after=at(fit, best, "fitting"),
    )


def halves(data: Dataset[Sample], places: Sequence[int] | None = None) -> tuple[list[int], list[int]]:
    """The places of two halves of the groups, in the order of sha256(group); no group is in both.

    Raises:
        ValueError: fewer than two groups.
    """
    chosen = range(len(data)) if places is None else places
    groups = {place: data.groups[place] for place in chosen}
    ordered = sorted(set(groups.values()), key=lambda group: hashlib.sha256(encoded(group)).digest())
    if len(ordered) < 2:
        raise ValueError(
            f"temperature: expected at least two groups (patients), one to fit and one to judge, got {len(ordered)}"
        )
    first = set(ordered[: len(ordered) // 2])
    inside = [place for place, group in groups.items() if group in first]
    outside = [place for place, group in groups.items() if group not in first]
    return inside, outside


def table(whole: Calibration, fit: Temperature | None) -> str:
    """Markdown: all samples at temperature 1; then the fit, on the half that had no part in it and on its own."""
    rows = [("all samples", whole)]
    if fit is not None:
        rows += [
            ("other half", fit.before),
            ("other half, fitted", fit.after),
            ("fitting half", fit.fit_before),
            ("fitting half, fitted", fit.fit_after),
        ]
    lines = [
        f"n = {whole.n}, seed {whole.seed}; GED in its U form has floor 0; ECE pooled over pixels; coverage of the "
        "raters' areas by the central intervals of the hypotheses'; 95 percent intervals by group bootstrap",
        "",
        "| samples | temperature | count | GED, U | GED, V | ECE | coverage 50 % | coverage 90 % |",
        "|---" * 8 + "|",
    ]
    for name, one in rows:
        cells = [cell(*one.figures[f]) for f in ("ged_u", "ged_v", "ece", "coverage_50", "coverage_90")]
        size = f"{one.samples} of {counted(one.groups, 'group')}"
        lines.append(f"| {name} | {one.temperature:g} | {size} | " + " | ".join(cells) + " |")
    if fit is not None:
        tried = ", ".join(f"{t:g}: {v:.4f}" for t, v in fit.curve.items())
        lines += [
            "",
            f"Fitted temperature {fit.best:g}, of {tried} (mean GED, U form, on the fitting half). The halves share no "
            "group; only the rows of the other half say what the fit is worth." + _at_the_end(fit),
        ]
    return "\n".join(lines)


def _at_the_end(fit: Temperature) -> str:
    if min(fit.curve) < fit.best < max(fit.curve):
        return ""
    return " It lies at the end of the grid: the minimum may be beyond."


def plot(whole: Calibration, fit: Temperature | None) -> Image.Image:
    """Reliability of the mean map: all samples at temperature 1, and the other half before and after the fit."""
    curves = {"all samples": (whole.predicted, whole.observed)}
    if fit is not None:
        for one in (fit.before, fit.after):
            curves[f"other half, temperature {one.temperature:g}"] = (one.predicted, one.observed)
    return reliability_chart(curves, title=f"Reliability of the mean map, n = {whole.n}")
