"""The synthetic suite: its laws are what they are said to be, and its pictures are the same everywhere."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from layouts import through_pickle

from asam.data import ModeLaw, OffsetLaw, Synthetic, SyntheticVideo
from asam.data.synthetic import KINDS, MIX

ALL = [*KINDS, "mix"]


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("size", [32, 67])
def test_any_size_and_the_same_picture_from_any_instance(kind, size):
    one = Synthetic(kind, size=size, seed=3, length=4)
    other = through_pickle(Synthetic(kind, size=size, seed=3, length=9))
    order = [3, 0, 2, 0]
    for index in order:
        a, b = one[index], other[index]
        assert a.image.dtype == np.uint8
        assert a.image.shape == (size, size, 3)
        np.testing.assert_array_equal(a.image, b.image)
        np.testing.assert_array_equal(a.masks, b.masks)
        np.testing.assert_array_equal(a.law.mean(), b.law.mean())
    assert not np.array_equal(one[0].image, Synthetic(kind, size=size, seed=4)[0].image)
    assert not np.array_equal(one[0].image, one[1].image)


def test_the_picture_does_not_depend_on_the_number_of_raters():
    sample = Synthetic("nested", size=64, seed=0)[7]
    assert sample.id == "nested-0-000007"
    again = Synthetic("nested", size=64, seed=0, raters=8)[7]
    np.testing.assert_array_equal(sample.image, again.image)
    np.testing.assert_array_equal(sample.masks, again.masks[:4])


@pytest.mark.parametrize("kind", KINDS)
def test_laws_are_distributions_and_raters_follow_them(kind):
    data = Synthetic(kind, size=64, seed=1, length=12, raters=400)
    for sample in data:
        law = sample.law
        # 400 draws: five standard deviations of a share is 0.125 at most.
        np.testing.assert_allclose(sample.masks.mean(axis=0), law.mean(), atol=0.13)
        assert sample.weights.sum() == pytest.approx(1)
        x0, y0, x1, y1 = sample.box.astype(int)
        outside = law.support().copy()
        outside[y0:y1, x0:x1] = False
        assert not outside.any()
        if isinstance(law, ModeLaw):
            assert law.probs.sum() == pytest.approx(1)
            assert len({mode.tobytes() for mode in law.modes}) == len(law.modes)
            np.testing.assert_allclose(np.tensordot(law.probs, law.modes, 1), law.mean(), atol=1e-6)


def test_nested_modes_contain_one_another():
    for sample in Synthetic("nested", size=64, length=20):
        assert (~sample.law.modes[:-1] | sample.law.modes[1:]).all()


def test_pair_is_a_b_and_both():
    seen = 0
    for sample in Synthetic("pair", size=64, length=20):
        if len(sample.law.modes) == 3:
            a, b, both = sample.law.modes
            assert not (a & b).any()
            np.testing.assert_array_equal(a | b, both)
            seen += 1
    assert seen >= 15


def test_fuzzy_opacity_is_the_probability():
    for sample in Synthetic("fuzzy", size=64, length=5):
        law = sample.law
        assert isinstance(law, OffsetLaw)
        assert law.modes is None
        # The share of draws that reach d pixels out is P(offset > d).
        draws = law.draw(4000, np.random.default_rng(0))
        np.testing.assert_allclose(draws.mean(axis=0), law.mean(), atol=0.045)
        modes = law.quantised(64)
        np.testing.assert_allclose(np.tensordot(modes.probs, modes.modes, 1), law.mean(), atol=0.02)


def test_absent_states_its_chance_and_shows_it_by_contrast():
    strong, weak = [], []
    for sample in Synthetic("absent", size=64, length=60):
        p = sample.law.p_empty
        assert 0.02 - 1e-9 <= p <= 0.98 + 1e-9
        mask = sample.law.support()
        ring = ~mask
        image = sample.image.astype(float)
        contrast = np.abs(image[mask].mean(axis=0) - image[ring].mean(axis=0)).mean()
        (strong if p < 0.3 else weak if p > 0.7 else []).append(contrast)
    assert len(strong) > 5
    assert len(weak) > 5
    assert np.mean(strong) > np.mean(weak) + 10


def test_click_on_the_part_makes_the_part_likely():
    on, off = [], []
    for sample in Synthetic("click", size=96, length=60):
        x, y = sample.click.astype(int)
        part = sample.law.modes[0] if len(sample.law.modes) == 2 else None
        if part is not None:
            (on if part[y, x] else off).append(sample.law.probs[0])
    assert len(on) > 10
    assert len(off) > 10
    assert min(on) > 0.4
    assert max(off) < 0.6
    assert np.mean(on) > 0.75
    assert np.mean(off) < 0.25


def test_rare_modes_reach_two_percent():
    probs = [sample.law.probs.min() for sample in Synthetic("rare", size=64, length=60)]
    assert min(probs) >= 0.02 - 1e-9
    assert np.quantile(probs, 0.2) < 0.05
    assert np.median(probs) < 0.15


def test_mix_holds_every_kind():
    assert sum(MIX.values()) == pytest.approx(1)
    data = Synthetic("mix", size=48, length=80)
    assert any(sample.click is not None for sample in data)
    assert any(isinstance(sample.law, OffsetLaw) for sample in data)
    assert any(sample.law.p_empty > 0 and isinstance(sample.law, ModeLaw) for sample in data)


@pytest.mark.parametrize("kind", KINDS)
def test_video_moves_smoothly_and_keeps_its_object(kind):
    video = SyntheticVideo(kind, frames=12, size=64, seed=5)
    frames = list(video)
    assert len(frames) == 12
    assert len({frame.group for frame in frames}) == 1
    areas = [frame.law.support().sum() for frame in frames]
    for before, after in itertools.pairwise(frames):
        a, b = before.law.support(), after.law.support()
        assert (a & b).sum() / (a | b).sum() > 0.6
        assert not np.array_equal(before.image, after.image)
    assert max(areas) < 2 * min(areas)
    np.testing.assert_array_equal(through_pickle(video)[7].image, frames[7].image)


def test_video_raters_keep_their_reading():
    video = SyntheticVideo("nested", frames=10, size=64, seed=2, raters=3)
    reading = [
        [int(np.flatnonzero((frame.law.modes == mask).all(axis=(1, 2)))[0]) for mask in frame.masks]
        for frame in video
    ]
    assert all(row == reading[0] for row in reading)


def test_video_object_moves_across_the_picture():
    video = SyntheticVideo("plain", frames=60, size=64, seed=1)
    centres = np.array([np.argwhere(frame.masks[0]).mean(axis=0) for frame in video])
    assert np.ptp(centres, axis=0).max() > 6
    assert np.abs(np.diff(centres, axis=0)).max() < 5


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"kind": "weird"}, "kind: expected one of plain, nested"),
        ({"kind": "pair", "size": 8}, "size: expected at least 32"),
        ({"kind": "pair", "length": 0}, "length: expected 1 to 10,000,000, got 0"),
        ({"kind": "pair", "raters": 0}, "raters: expected at least 1"),
        ({"kind": "pair", "seed": -1}, "seed: expected 0 or more"),
    ],
)
def test_bad_options(kwargs, message):
    with pytest.raises(ValueError, match=message):
        Synthetic(**kwargs)
