"""What is asked and by which conventions answers are judged."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from asam import metrics
from asam.data import Sample
from asam.evaluate import A2SAM, STRICT, Protocol
from asam.evaluate.measure import figures
from asam.prompts import widest_box
from asam_trt import Hypotheses
from asam_trt.geometry import Frame

SIDE = 128


def two_raters(click: np.ndarray | None = None) -> Sample:
    """One rater saw a wide object, the other a small one elsewhere; neither's box is that of both."""
    masks = np.zeros((2, SIDE, SIDE), dtype=np.bool_)
    masks[0, 40:60, 30:70] = True
    masks[1, 80:90, 60:72] = True
    return Sample.of(np.zeros((SIDE, SIDE, 3), np.uint8), masks, id="a", click=click)


def random_answer(n: int = 6, seed: int = 0) -> Hypotheses:
    """Smooth random logits."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(size=(n, 4, 4)).astype(np.float32)
    return Hypotheses(
        coarse.repeat(8, axis=1).repeat(8, axis=2), np.ones(n, np.float32), Frame.of(SIDE, SIDE, SIDE)
    )


def test_strict_asks_the_smallest_box_of_all_labels() -> None:
    asked = STRICT.ask(two_raters(), seed=3)
    assert asked.box.tolist() == [30, 40, 72, 90]
    assert STRICT.prompt == "smallest box of all labels, unperturbed"


def test_a2sam_jitters_the_widest_single_box_about_its_corner() -> None:
    sample = two_raters()
    widest = widest_box(sample.masks)
    assert widest is not None
    size = widest[2:] - widest[:2]
    boxes = np.stack([A2SAM.ask(sample, seed=seed).box for seed in range(400)])
    scale = (boxes[:, 2:] - boxes[:, :2]) / size
    shift = boxes[:, :2] - widest[:2]
    assert scale[:, 0] == pytest.approx(scale[:, 1], abs=1e-4)
    assert 0.6 <= scale.min() < 0.63
    assert 1.47 < scale.max() <= 1.5
    assert sorted(set(shift.ravel().round(3).tolist())) == list(range(-10, 11))


def test_a_seed_gives_one_box_and_every_sample_its_own() -> None:
    sample = two_raters()
    assert A2SAM.ask(sample, seed=1).box.tolist() == A2SAM.ask(sample, seed=1).box.tolist()
    assert A2SAM.ask(sample, seed=1).box.tolist() != A2SAM.ask(sample, seed=2).box.tolist()


@pytest.mark.parametrize("protocol", [STRICT, A2SAM])
def test_a_click_is_asked_as_it_is(protocol: Protocol) -> None:
    sample = two_raters(click=np.array([50, 50], np.float32))
    assert protocol.ask(sample, seed=0) is sample


def test_raters_who_all_saw_nothing_leave_the_whole_image() -> None:
    masks = np.zeros((2, SIDE, SIDE), dtype=np.bool_)
    sample = Sample.of(np.zeros((SIDE, SIDE, 3), np.uint8), masks, id="a")
    assert replace(A2SAM, jitter=None).ask(sample, seed=0).box.tolist() == [0, 0, SIDE, SIDE]


def test_perturbed_says_so_and_moves_as_far_as_its_family() -> None:
    sample = two_raters()
    protocol = STRICT.perturbed("shift")
    moved = np.stack([protocol.ask(sample, seed=seed).box for seed in range(200)]) - sample.box
    assert np.abs(moved).max() <= 5.001
    assert np.abs(moved).max() > 4.5
    assert "'shift'" in protocol.prompt
    assert STRICT.perturbed("shift").perturbed("none") == STRICT
    with pytest.raises(ValueError, match="expected one of"):
        STRICT.perturbed("sideways")


def test_each_figure_has_the_convention_of_its_protocol() -> None:
    answer, sample = random_answer(), two_raters()
    masks, raters = answer.masks, sample.masks
    logits = np.stack([answer.resized_logits(i) for i in range(len(answer))])
    common = {
        "ged": metrics.ged(masks, raters, form="V"),
        "ged_floor": metrics.ged_floor(raters, len(masks)),
        "dmax": metrics.dmax(masks, raters, kind="any"),
    }
    strict = {
        **common,
        "hm_iou": metrics.hm_iou(masks, raters, matching="repeated"),
        "dmean": metrics.dmean(masks, raters, kind="pairs"),
    }
    a2sam = {
        **common,
        "hm_iou": metrics.hm_iou(masks, raters, matching="rectangular"),
        "dmean": metrics.dmean(logits, raters, kind="mean_logit"),
    }
    assert figures(answer, sample, STRICT) == pytest.approx(strict, abs=1e-12)
    # The mean of logits is resized once: at most a pixel on the edge of some mask falls on the other side.
    assert figures(answer, sample, A2SAM) == pytest.approx(a2sam, abs=1e-3)
    assert abs(strict["hm_iou"] - a2sam["hm_iou"]) > 0.004
    assert abs(strict["dmean"] - a2sam["dmean"]) > 0.004


def test_rater_weights_count() -> None:
    answer, sample = random_answer(), two_raters()
    lopsided = replace(sample, weights=np.array([1, 0], np.float32))
    expected = metrics.dmean(answer.masks, sample.masks[:1], kind="pairs")
    assert figures(answer, lopsided, STRICT)["dmean"] == pytest.approx(expected)
