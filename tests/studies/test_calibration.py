"""Calibration, and the temperature that was put in."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import torch

from asam import metrics
from asam.data import Sample, Subset, Synthetic
from asam.data.base import ArrayDataset
from asam.model import ASAM
from asam.progress import bars
from asam.studies.calibration import Tempered, calibrate, fit_temperature, halves, mean_ged, plot, table
from asam_trt import Hypotheses
from asam_trt.geometry import Frame

SIDE = 64
_y, _x = np.mgrid[:SIDE, :SIDE] + 0.5
DISTANCE = np.hypot(_x - SIDE / 2, _y - SIDE / 2).astype(np.float32)
RADIUS, SPREAD = 16.0, 3.0


def disks(radii: np.ndarray) -> np.ndarray:
    return np.asarray(radii[:, None, None] > DISTANCE)


class Disks(ArrayDataset[Sample]):
    """Raters draw a disk whose radius is normal around RADIUS with deviation SPREAD; a sample's patient is i // 2."""

    def __init__(self, length: int, raters: int = 6) -> None:
        names = [f"{i}" for i in range(length)]
        super().__init__(ids=names, groups=[f"patient {i // 2}" for i in range(length)])
        self.raters = raters

    def _load(self, index: int) -> Sample:
        radii = np.random.default_rng([1, index]).normal(RADIUS, SPREAD, size=self.raters)
        image = np.zeros((SIDE, SIDE, 3), np.uint8)
        return Sample.of(image, disks(radii), id=self.ids[index], group=self.groups[index])


@dataclass
class Disk:
    """Stands for an engine: the right centre, a deviation of ``spread`` times the temperature."""

    spread: float

    def set_image(self, image: Any) -> None:
        pass

    def sample(self, *, n: int, seed: int, temperature: float, **prompt: Any) -> Hypotheses:
        eps = np.random.default_rng([2, seed]).normal(size=n)
        radii = RADIUS + self.spread * temperature * eps
        logits = (radii[:, None, None] - DISTANCE).astype(np.float32)
        return Hypotheses(logits, np.ones(n, np.float32), Frame.of(SIDE, SIDE, 4 * SIDE))


def source(spread: float) -> Any:
    return Disk(spread)


@pytest.mark.parametrize("best", [0.5, 1.0, 2.0])
def test_the_fit_finds_the_temperature_that_was_put_in(best: float) -> None:
    with bars(shown=False) as start:
        found = fit_temperature(source(SPREAD / best), Disks(40), n=24, start=start)
    assert found.best == best
    assert found.curve[best] == min(found.curve.values())
    assert found.after.temperature == best
    if best != 1:
        assert found.after.figures["ged_u"][0] < found.before.figures["ged_u"][0] - 0.005


@pytest.mark.parametrize(
    ("grid", "at_the_end"), [((0.5, 1.0, 2.0), False), ((1.0, 2.0), True), ((0.5, 1.0), True)]
)
def test_a_fit_at_the_end_of_the_grid_says_so(grid: tuple[float, ...], at_the_end: bool) -> None:
    data = Disks(40)
    with bars(shown=False) as start:
        found = fit_temperature(source(SPREAD), data, n=24, grid=grid, start=start)
    assert found.best == 1
    text = table(calibrate(source(SPREAD), data, n=8), found)
    assert text.endswith("It lies at the end of the grid: the minimum may be beyond.") == at_the_end


def test_only_the_other_half_judges() -> None:
    data = Disks(9)
    places = halves(data)
    fit, report = (Subset(data, half) for half in places)
    assert not set(fit.groups) & set(report.groups)
    assert sorted([*fit.ids, *report.ids]) == sorted(data.ids)
    assert abs(len(set(fit.groups)) - len(set(report.groups))) <= 1
    with bars(shown=False) as start:
        found = fit_temperature(source(SPREAD), data, n=8, grid=(0.5, 1.0), start=start)
    assert set(found.fitted) == set(fit.groups)
    assert (found.before.samples, found.fit_before.samples) == (len(report), len(fit))
    expected = mean_ged(source(SPREAD), data, temperature=0.5, n=8, places=places[0])
    assert found.curve[0.5] == pytest.approx(expected)
    before = calibrate(source(SPREAD), data, temperature=1.0, n=8, places=places[1])
    assert repr(found.before) == repr(before)
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["best"] == found.best
    text = table(before, found)
    assert "| other half, fitted |" in text
    assert f"Fitted temperature {found.best:g}" in text
    assert plot(before, found).size[0] > 0


def test_a_sample_is_drawn_with_the_seed_of_its_place_whichever_others_are_looked_at() -> None:
    data = Disks(12)
    seeds: list[int] = []

    class Noted(Disk):
        def sample(self, *, seed: int, **asked: Any) -> Hypotheses:
            seeds.append(seed)
            return super().sample(seed=seed, **asked)

    calibrate(cast("Any", Noted(2.0)), data, n=2, seed=5, places=[0, 4, 11])
    assert seeds == [5, 9, 16]
    seeds.clear()
    with bars(shown=False) as start:
        fit_temperature(
            cast("Any", Noted(2.0)), data, n=2, seed=5, places=[1, 6, 7], grid=(1.0,), start=start
        )
    assert {*seeds} == {6, 11, 12}
    assert sum(map(len, halves(data, [1, 6, 7]))) == 3


def test_halves_need_two_patients() -> None:
    with pytest.raises(ValueError, match="two groups"):
        halves(Disks(2))


def test_one_rater_tells_no_ged() -> None:
    with bars(shown=False) as start, pytest.raises(ValueError, match="two raters"):
        fit_temperature(source(SPREAD), Disks(6, raters=1), n=4, grid=(1.0,), start=start)


def test_coverage_says_who_is_overconfident() -> None:
    data = Disks(60)
    right, narrow, wide = (calibrate(source(s * SPREAD), data, n=64) for s in (1, 0.3, 3))
    for level, slack in ((0.5, 0.06), (0.9, 0.04)):
        name = f"coverage_{level * 100:.0f}"
        value, (low, high) = right.figures[name]
        assert value == pytest.approx(level, abs=slack)
        assert low < value < high
        assert narrow.figures[name][0] < level - 0.2
        assert wide.figures[name][0] > level + 0.05
    assert right.figures["ece"][0] < narrow.figures["ece"][0]


def test_the_pooled_error_is_that_of_all_pixels_side_by_side() -> None:
    data = Disks(4)
    found = calibrate(source(2.0), data, n=8, seed=3)
    masks = [Disk(2.0).sample(n=8, seed=3 + i, temperature=1.0).masks for i in range(4)]
    whole = np.concatenate(masks, axis=2)
    raters = np.concatenate([data[i].masks for i in range(4)], axis=2)
    curve = metrics.reliability(whole, raters)
    assert found.figures["ece"][0] == pytest.approx(curve.ece)
    assert found.predicted == pytest.approx(curve.predicted.tolist(), nan_ok=True)
    assert found.observed == pytest.approx(curve.observed.tolist(), nan_ok=True)
    low, high = found.figures["ece"][1]
    assert 0 < low <= high
    geds = [metrics.ged(m, data[i].masks, form="U") for i, m in enumerate(masks)]
    assert found.figures["ged_u"][0] == pytest.approx(np.mean(geds))


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_a_network_s_temperature_is_its_own_argument(temperature: float) -> None:
    torch.manual_seed(0)
    model = ASAM.from_preset(backbone="nano", image_size=64).eval()
    sample = Synthetic("pair", size=64, seed=0, length=1)[0]
    answer = Tempered(model, temperature).hypotheses(sample, n=3, seed=5)
    expected = model.sample(sample.image, box=sample.box, n=3, seed=5, temperature=temperature)
    assert np.array_equal(answer.logits, expected.logits)
    assert (np.ptp(answer.logits, axis=0).max() < 1e-5) == (temperature == 0)
