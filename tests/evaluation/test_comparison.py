"""Paired comparisons: by hand, and what they refuse."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from asam.evaluate import METRICS, Measured, Report, compare, summarise
from asam.evaluate.comparison import markdown
from asam.evaluate.intervals import group_intervals

GROUPS = tuple(f"p{i // 3}" for i in range(30))
HARD = np.random.default_rng(0).normal(0.4, 0.2, 30)  # how hard samples are, for every method
SLIGHT = np.random.default_rng(1).normal(0.01, 0.004, 30)


def report(method: str, ged: np.ndarray, **more: object) -> Report:
    values = {name: (0.5,) * len(ged) for name in METRICS} | {"ged": tuple(ged.tolist())}
    measured = Measured(
        method=method,
        protocol="strict",
        prompt="boxes",
        conventions=dict(METRICS),
        n=16,
        seed=0,
        ids=tuple(map(str, range(len(ged)))),
        groups=GROUPS[: len(ged)],
        values=values,
        data_sha256="x",
    )
    return summarise(replace(measured, **more))  # type: ignore[arg-type]


def test_a_slight_difference_shows_that_two_intervals_hide() -> None:
    a, b = report("one", HARD), report("two", HARD + SLIGHT)
    assert a.intervals["ged"][1] > b.intervals["ged"][0]
    found = compare(a, b, seed=3)
    ged = found.figures["ged"]
    assert (ged.a, ged.b) == (pytest.approx(HARD.mean()), pytest.approx((HARD + SLIGHT).mean()))
    assert ged.difference == pytest.approx(SLIGHT.mean())
    expected = group_intervals(SLIGHT[:, None], GROUPS, seed=3)[0]
    assert ged.interval == pytest.approx(expected)
    assert 0 < expected[0] < expected[1] < 0.02
    assert ged.better == "A"
    assert compare(b, a).figures["ged"].better == "B"
    assert (found.n, found.samples, found.groups, ged.samples) == (16, 30, 10, 30)
    assert found.figures["hm_iou"].better == "undecided"
    assert "ged_floor" not in found.figures  # of the data alone
    row = f"| ged (lower is better) | 16 | {ged.a:.4f} | {ged.b:.4f} | +{ged.difference:.4f} ["
    assert row in markdown([found])


def test_higher_is_better_of_what_is_no_distance() -> None:
    a = report("one", HARD)
    better = {name: tuple(np.full(30, 0.5) + (name == "hm_iou") * SLIGHT) for name in METRICS}
    assert compare(a, report("two", HARD, values=better)).figures["hm_iou"].better == "B"


def test_samples_that_one_lacks_are_left_out_of_both() -> None:
    lacking = HARD.copy()
    lacking[:6] = np.nan
    ged = compare(report("one", HARD), report("two", lacking + SLIGHT)).figures["ged"]
    assert ged.samples == 24
    assert ged.a == pytest.approx(HARD[6:].mean())
    assert ged.difference == pytest.approx(SLIGHT[6:].mean())


def test_few_groups_are_not_judged() -> None:
    few = compare(report("one", HARD[:12]), report("two", HARD[:12] + SLIGHT[:12])).figures["ged"]
    assert few.better == "too few groups"
    alone = compare(report("one", HARD[:3]), report("two", HARD[:3])).figures["ged"]
    assert math.isnan(alone.interval[0])
    assert alone.better == "too few groups"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"n": 100}, "n 16 and 100"),
        ({"seed": 1}, "seed 0 and 1"),
        ({"protocol": "a2sam"}, "protocol 'strict' and 'a2sam'"),
        ({"prompt": "moved boxes"}, "prompt 'boxes' and 'moved boxes'"),
        ({"data_sha256": "y"}, "data_sha256 'x' and 'y'"),
    ],
)
def test_reports_that_do_not_pair_are_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=rf"expected reports on the same samples.*{words}"):
        compare(report("one", HARD), report("two", HARD, **more))


def test_a_report_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="expected figures of each sample"):
        compare(report("one", HARD), replace(report("two", HARD), per_sample=()))


def test_a_report_survives_json_with_its_samples() -> None:
    lacking = HARD.copy()
    lacking[2] = np.nan
    before = report("one", lacking)
    document = json.loads(json.dumps(before.to_dict(), allow_nan=False))
    assert document["per_sample"][2] == {
        "id": "2",
        "group": "p0",
        "values": {**dict.fromkeys(METRICS, 0.5), "ged": None},
    }
    assert repr(Report.from_dict(document)) == repr(before)  # NaN equals itself in print


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda one: one["per_sample"].pop(), "figures of 30 samples, got those of 29"),
        (lambda one: one["per_sample"][0]["values"].pop("ged"), "of each sample, got others of 0"),
        (lambda one: one["means"].update(foo=1.0), "foo of each sample, got others of 0"),
        (lambda one: one["per_sample"][3]["values"].update(ged=10**400), "finite figures, got 1000"),
        (lambda one: one["per_sample"][3]["values"].update(ged=math.inf), "finite figures, got inf"),
        (lambda one: one["per_sample"][3]["values"].update(ged="1"), "finite figures, got '1'"),
        (lambda one: one["per_sample"][3].update(group=None), "words for the id and the group"),
        (lambda one: one["per_sample"][3].update(group=["p"]), "words for the id and the group"),
    ],
)
def test_reports_that_somebody_changed_are_refused(change: Callable[[Any], object], words: str) -> None:
    document = report("one", HARD).to_dict()
    change(document)
    with pytest.raises(ValueError, match=words):
        Report.from_dict(document)


def test_samples_are_not_paired_by_their_place_alone() -> None:
    a = report("one", HARD)
    with pytest.raises(ValueError, match=r"same samples in the same order, got 0 of p0 and 29 of p9"):
        compare(a, replace(a, per_sample=a.per_sample[::-1]))
    named = tuple(replace(one, id="x" + one.id) for one in a.per_sample)
    with pytest.raises(ValueError, match=r"got 0 of p0 and x0 of p0"):
        compare(a, replace(a, per_sample=named))
    with pytest.raises(ValueError, match=r"expected the same figures, got .*ged_floor.* and "):
        compare(a, replace(a, means={"ged": 0.4}))
