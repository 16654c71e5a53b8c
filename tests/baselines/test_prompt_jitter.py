"""SAM, box shift and SAM, point shift: one mask of each of n prompts."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest

from asam.baselines import create
from asam.data import Sample, Synthetic
from asam.methods import PromptJitter
from asam.model import ASAM
from asam.prompts import PERTURBATIONS, BoxPerturbation

SIZE = 64


@pytest.fixture(scope="module")
def sam() -> ASAM:
    found = create("sam", image_size=SIZE)
    assert isinstance(found, ASAM)
    return found.eval()


def sample(kind: str) -> Sample:
    return Synthetic(kind, size=SIZE, seed=0, length=1)[0]


def test_without_latents_a_prompt_has_one_answer(sam: ASAM) -> None:
    found = sam.sample(sample("pair").image, box=sample("pair").box, n=4, seed=0).logits
    assert (found == found[:1]).all()


@pytest.mark.parametrize("kind", ["pair", "click"])
@pytest.mark.parametrize("way", ["own", "point"])
def test_prompts_that_stay_ask_what_the_network_is_asked(
    sam: ASAM, kind: str, way: Literal["own", "point"]
) -> None:
    """The sample's own question, or its point: the click, else the middle of the box."""
    asked = sample(kind)
    box, point = {"box": asked.box}, asked.click
    if point is None:
        point = (asked.box[:2] + asked.box[2:]) / 2
    by_box = way == "own" and asked.click is None
    prompt = box if by_box else {"point_coords": point[None], "point_labels": [1]}
    expected = sam.sample(asked.image, **prompt, n=1).logits
    method = PromptJitter(sam, BoxPerturbation(), prompt=way)
    found = method.hypotheses(asked, n=3, seed=1).logits
    np.testing.assert_allclose(found, expected.repeat(3, axis=0), atol=1e-4)


@pytest.mark.parametrize("kind", ["pair", "click"])
@pytest.mark.parametrize("way", ["own", "point"])
def test_shifted_prompts_differ_and_are_seeded(sam: ASAM, kind: str, way: Literal["own", "point"]) -> None:
    method = PromptJitter(sam, PERTURBATIONS["shift"], prompt=way)
    one, two, other = (method.hypotheses(sample(kind), n=4, seed=s).logits for s in (3, 3, 4))
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)
    assert len(np.unique(one, axis=0)) == 4


def test_points_are_shifted_within_reach(sam: ASAM, monkeypatch: pytest.MonkeyPatch) -> None:
    """5 pixels of a 128-pixel image either way, evenly, and never out of the image."""
    asked: list[np.ndarray] = []

    def seen(model: ASAM, image: np.ndarray, places: np.ndarray) -> None:
        asked.append(places)

    monkeypatch.setattr("asam.model.sampling.mean_masks", seen)
    one = sample("click")
    method = PromptJitter(sam, PERTURBATIONS["shift"], prompt="point")
    method.hypotheses(one, n=2000, seed=0)
    assert one.click is not None
    moved = asked[0] - one.click
    assert np.abs(moved).max() <= 2.5 + 1e-4
    assert np.abs(moved).max() > 2.4
    np.testing.assert_allclose(moved.mean(axis=0), 0, atol=0.15)
    np.testing.assert_allclose(moved.std(axis=0), 5 / 12**0.5, rtol=0.05)

    corner = Sample.of(one.image, one.masks, id="corner", click=np.array([0.5, SIZE - 0.5], dtype=np.float32))
    method.hypotheses(corner, n=200, seed=0)
    assert ((asked[1] >= 0) & (asked[1] <= SIZE)).all()
