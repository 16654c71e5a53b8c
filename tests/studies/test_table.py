"""Rows over seeds: by hand."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from asam.evaluate import METRICS, Measured
from asam.studies.table import markdown, rows_of, verdicts

GROUPS = [f"p{i // 3}" for i in range(30)]


def measured(
    method: str, ged: np.ndarray, hm: np.ndarray | None = None, *, n: int = 16, data: str = "x"
) -> Measured:
    rows = {name: np.full(len(ged), 0.5) for name in METRICS}
    rows["ged"] = ged
    rows["hm_iou"] = np.full(len(ged), 0.5) if hm is None else hm
    return Measured(
        method=method,
        protocol="strict",
        prompt="",
        conventions=dict(METRICS),
        n=n,
        seed=0,
        ids=tuple(map(str, range(len(ged)))),
        groups=tuple(GROUPS[: len(ged)]),
        values={k: tuple(v.tolist()) for k, v in rows.items()},
        data_sha256=data,
    )


def noise(seed: int, scale: float = 0.2) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.4, scale, size=30)


def test_mean_spread_and_interval_over_seeds() -> None:
    a, b, c = noise(0), noise(1) + 0.3, noise(2)
    (row,) = rows_of("d", [(0, measured("m", a)), (1, measured("m", b)), (2, measured("m", c))])
    of_runs = [a.mean(), b.mean(), c.mean()]
    assert row.seeds == (0, 1, 2)
    assert row.means["ged"] == pytest.approx(np.mean(of_runs))
    assert row.sds["ged"] == pytest.approx(np.std(of_runs, ddof=1))
    # Patients are drawn with all their samples of all seeds: the interval is that of the patients' means.
    patients = np.stack([a, b, c]).mean(axis=0).reshape(10, 3).mean(axis=1)
    low, high = row.intervals["ged"]
    assert (high - low) / 2 == pytest.approx(1.96 * patients.std() / np.sqrt(10), rel=0.15)
    assert row.differences == {}


def test_one_seed_has_no_spread() -> None:
    (row,) = rows_of("d", [(0, measured("m", noise(0)))])
    assert math.isnan(row.sds["ged"])
    assert "±" not in markdown([row]).splitlines()[-2]
    assert json.loads(json.dumps(row.to_dict(), allow_nan=False))["sds"]["ged"] is None


def test_differences_are_paired_by_sample() -> None:
    """A tenth less on every sample is ahead for sure, however much the samples differ."""
    base = noise(0, scale=1.0)
    ahead, behind, apart = base - 0.1, base + 0.1, noise(5, scale=1.0)
    rows = rows_of(
        "d",
        [
            (seed, measured(name, values))
            for name, values in zip("abcd", (base, ahead, behind, apart), strict=True)
            for seed in (0, 1)
        ],
    )
    difference, (low, high) = rows[1].differences["ged"]
    assert (difference, low, high) == pytest.approx((-0.1, -0.1, -0.1))
    said = verdicts(rows)[0]
    assert said == "- ged, n = 16, against a: better: b; worse: c; undecided: d"


def test_higher_is_better_for_hm_iou() -> None:
    base = noise(0)
    rows = rows_of(
        "d",
        [
            (seed, measured(name, base, base + shift))
            for name, shift in (("a", 0.0), ("b", 0.1), ("c", -0.1))
            for seed in (0, 1)
        ],
    )
    assert "- hm_iou, n = 16, against a: better: b; worse: c; undecided: none" in verdicts(rows)


@pytest.mark.parametrize(("seeds", "groups", "judged"), [(1, 10, False), (2, 4, False), (2, 5, True)])
def test_few_seeds_or_groups_are_not_judged(seeds: int, groups: int, judged: bool) -> None:
    base = noise(0)[: 3 * groups]
    runs = [(s, measured(m, base + shift)) for m, shift in (("a", 0.0), ("b", -0.1)) for s in range(seeds)]
    said = verdicts(rows_of("d", runs))[0]
    assert said.startswith("- ged, n = 16, against a: ")
    assert ("better: b" in said) == judged
    assert said.endswith("too few seeds or groups to judge") != judged


def test_each_number_of_hypotheses_is_compared_with_its_own() -> None:
    base = noise(0)
    runs = [
        (0, measured("a", base, n=16)),
        (0, measured("a", base - 0.2, n=100)),
        (0, measured("b", base - 0.1, n=16)),
        (0, measured("b", base - 0.25, n=100)),
    ]
    rows = {(row.method, row.n): row for row in rows_of("d", runs)}
    assert rows["b", 16].differences["ged"][0] == pytest.approx(-0.1)
    assert rows["b", 100].differences["ged"][0] == pytest.approx(-0.05)


def test_different_samples_are_not_compared() -> None:
    with pytest.raises(ValueError, match="same samples"):
        rows_of("d", [(0, measured("a", noise(0))), (0, measured("b", noise(0), data="y"))])


def test_the_table_shows_mean_spread_interval_and_difference() -> None:
    base = noise(0)
    runs = [
        (s, measured(m, base + 0.1 * s + shift)) for m, shift in (("a", 0.0), ("b", -0.1)) for s in (0, 1)
    ]
    rows = rows_of("lidc", runs)
    text = markdown(rows)
    assert text.startswith("## lidc\n\n30 samples of 10 groups.")
    low, high = rows[1].intervals["ged"]
    (line,) = [line for line in text.splitlines() if line.startswith("| b |")]
    assert f"| {rows[1].means['ged']:.3f} ± {0.1 / np.sqrt(2):.3f} [{low:.3f}, {high:.3f}] |" in line
    assert "| -0.100 [-0.100, -0.100] |" in line
