"""The sample type: its parts fit one another, its box is the smallest, its defaults say what they mean."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from asam.data import Augment, Augmented, ModeLaw, OffsetLaw, Promise, Sample, Synthetic, sheet, smallest_box

IMAGE = np.zeros((6, 8, 3), np.uint8)


def mask(*pixels: tuple[int, int]) -> np.ndarray:
    out = np.zeros((6, 8), bool)
    for x, y in pixels:
        out[y, x] = True
    return out


@pytest.mark.parametrize("size", [(1500, 2000), (200, 1), (1, 200), (1, 1)])
@pytest.mark.parametrize("place", [0.0, 0.5, 1.0])
def test_a_sheet_has_objects_smaller_than_a_pixel_of_it(size, place):
    masks = np.zeros((1, *size), bool)
    start = [int(place * max(0, side - 10)) for side in size]
    masks[0, start[0] : start[0] + 10, start[1] : start[1] + 10] = True
    page = sheet([Sample.of(np.full((*size, 3), 90, np.uint8), masks, id="a")], tile=64)
    assert (page == (0, 230, 255)).all(axis=2).any(), "the box"


def test_box_goes_from_edge_to_edge():
    assert smallest_box(mask((3, 5))).tolist() == [3, 5, 4, 6]
    assert smallest_box(np.stack([mask((0, 0)), mask((7, 5))])).tolist() == [0, 0, 8, 6]
    assert smallest_box(mask()) is None


@given(arrays.arrays(bool, (3, 9, 7)))
def test_box_holds_every_pixel_and_no_smaller_one_does(masks):
    box = smallest_box(masks)
    if box is None:
        assert not masks.any()
        return
    x0, y0, x1, y1 = box.astype(int)
    assert masks[:, y0:y1, x0:x1].sum() == masks.sum()
    union = masks.any(0)[y0:y1, x0:x1]
    assert union[0].any()
    assert union[-1].any()
    assert union[:, 0].any()
    assert union[:, -1].any()


def test_defaults():
    sample = Sample.of(np.full((6, 8), 0.5, np.float32), np.stack([mask((1, 1)), mask()]), id="a")
    assert sample.image.shape == (6, 8, 3)
    assert sample.weights.tolist() == [0.5, 0.5]
    assert sample.seen.tolist() == [True, True]
    assert sample.group == "a"
    assert sample.float_image is not None
    nothing = Sample.of(IMAGE, mask()[None], id="b")
    assert nothing.box.tolist() == [0, 0, 8, 6]
    assert Sample.of(IMAGE + 255, mask()[None], id="c").float_image.max() == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": np.zeros((6, 8), np.uint8)}, r"uint8 or float32 \[H, W, 3\], got uint8 \[6, 8\]"),
        ({"image": IMAGE.astype(float)}, "got float64"),
        ({"masks": np.zeros((1, 5, 8), bool)}, r"expected masks of bool \[R >= 1, 6, 8\]"),
        ({"masks": np.zeros((1, 6, 8), np.uint8)}, "got uint8"),
        ({"weights": np.ones(2, np.float32)}, r"expected weights of \[1\]"),
        ({"weights": np.full(1, 0.5, np.float32)}, "sum to 1"),
        ({"seen": np.ones(3, bool)}, r"expected seen of \[1\]"),
        ({"raters": ("anna", "bert")}, "expected a name for each of 1 raters"),
    ],
)
def test_parts_that_do_not_fit(change, message):
    good = Sample.of(IMAGE, mask((1, 1))[None], id="lesion 7")
    fields = {name: getattr(good, name) for name in ("image", "masks", "weights", "seen", "box")}
    with pytest.raises(ValueError, match=message) as caught:
        Sample(**{**fields, **change}, id=good.id, group="", promise=good.promise)
    assert "lesion 7" in str(caught.value)


def test_a_sample_is_shown_in_a_line():
    masks = np.stack([mask((1, 1), (4, 2)), mask()])
    assert repr(Sample.of(IMAGE, masks, id="a", raters=("anna", "bert"))) == (
        "Sample('a', image 8 x 6 (w x h), 2 raters (1 empty), box 1 1 5 3)"
    )
    asked = Sample.of(IMAGE, masks[:1], id="b", click=np.array([1.5, 2], np.float32))
    assert repr(asked) == "Sample('b', image 8 x 6 (w x h), 1 rater, click 1.5 2)"
    nested = replace(asked, click=None, promise=Promise.NESTED)
    assert repr(nested) == "Sample('b', image 8 x 6 (w x h), 1 mask, box 1 1 5 3)"


def test_augmentation_keeps_the_names_of_raters():
    sample = Sample.of(IMAGE, mask((3, 3))[None], id="a", raters=("anna",))
    assert Augment(flip=1.0)(sample, 0).raters == ("anna",)


def test_law_joins_equal_modes_and_drops_impossible_ones():
    law = ModeLaw.of(
        np.stack([mask((1, 1)), mask((2, 2)), mask((1, 1)), mask()]), np.array([1.0, 2.0, 1.0, 0.0])
    )
    assert law.probs.tolist() == [0.5, 0.5]
    assert law.p_empty == 0
    assert ModeLaw.of(np.stack([mask(), mask((1, 1))]), np.array([0.3, 0.7])).p_empty == pytest.approx(0.3)
    with pytest.raises(ValueError, match="sum to 1"):
        ModeLaw(mask((1, 1))[None], np.array([0.5]))
    with pytest.raises(ValueError, match="modes bool"):
        ModeLaw(mask((1, 1)), np.array([1.0]))


@given(st.floats(1.0, 5.0))
def test_offset_law_has_the_stated_spread(spread):
    x = np.arange(-20, 21, dtype=np.float32) + 0.5
    law = OffsetLaw(np.broadcast_to(x, (2, 41)).copy(), spread)
    masks = law.draw(400, np.random.default_rng(0))
    # Where the row's boundary falls has the offset's standard deviation, and the pixel grid's on top.
    reach = masks[:, 0].sum(axis=1).std()
    assert reach == pytest.approx(np.hypot(spread, 12**-0.5), rel=0.2)


def test_augmentation_moves_everything_alike():
    data = Synthetic("click", size=96, length=12)
    augmented = Augmented(
        data, Augment(degrees=40, flip=0.5, flip_vertical=0.5, shift=0.1, noise=0.0), seed=1
    )
    moved = 0
    for before, after in zip(data, augmented, strict=True):
        moved += not np.array_equal(before.masks, after.masks)
        assert smallest_box(after.law.support()).tolist() == after.box.tolist()
        # The click stays on what it was on, away from the borders that resampling moves.
        old, new = (np.floor(sample.click).astype(int) for sample in (before, after))
        for k, mode in enumerate(before.law.modes):
            around = mode[old[1] - 2 : old[1] + 3, old[0] - 2 : old[0] + 3]
            if around.all() or not around.any():
                assert after.law.modes[k][new[1], new[0]] == around.all()
        # So do the colours under the masks: the picture moved with them.
        for one, other in zip(before.law.modes, after.law.modes, strict=True):
            np.testing.assert_allclose(before.image[one].mean(), after.image[other].mean(), rtol=0.45)
    assert moved >= 10


@settings(deadline=None)
@given(
    st.integers(0, 6),
    st.integers(0, 6),
    st.tuples(*[st.floats(0.05, 0.95)] * 2),
    st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])),
    st.sampled_from([0, 90, 180, 270]),
)
def test_a_click_stays_on_its_pixel_under_flips_and_turns(x, y, within, flips, turn):
    one = np.zeros((7, 7), bool)
    one[y, x] = True
    click = np.array([x + within[0], y + within[1]], np.float32)
    sample = Sample.of(np.zeros((7, 7, 3), np.uint8), one[None], id="a", click=click)
    change = Augment(
        flip=flips[0], flip_vertical=flips[1], degrees=(turn, turn), shift=0, scale=(1, 1), brightness=0
    )
    moved = change(sample, 0)
    expected = np.rot90(one[:: -1 if flips[1] else 1, :: -1 if flips[0] else 1], -turn // 90)
    np.testing.assert_array_equal(moved.masks[0], expected)
    column, row = np.floor(moved.click).astype(int)
    assert moved.masks[0, row, column]


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_a_click_in_the_middle_of_a_spot_stays_on_it_however_it_is_turned(seed):
    spot = np.zeros((40, 56), bool)
    spot[17:20, 30:33] = True
    click = np.array([31.5, 18.5], np.float32)
    sample = Sample.of(np.zeros((40, 56, 3), np.uint8), spot[None], id="a", click=click)
    moved = Augment(flip_vertical=0.5, degrees=180, shift=0.1, scale=(0.9, 1.2))(sample, seed)
    column, row = np.floor(moved.click).astype(int)
    assert moved.masks[0, row, column]


def test_augmentation_by_exact_flip():
    sample = Synthetic("nested", size=64)[2]
    mirrored = Augment(flip=1, degrees=0, shift=0, scale=(1, 1), brightness=0, contrast=0)(sample, 0)
    np.testing.assert_array_equal(mirrored.image, sample.image[:, ::-1])
    np.testing.assert_array_equal(mirrored.masks, sample.masks[:, :, ::-1])
    x0, y0, x1, y1 = sample.box
    assert mirrored.box.tolist() == [64 - x1, y0, 64 - x0, y1]


def test_augmentation_is_a_function_of_the_seed_alone():
    import torch

    sample = Synthetic("fuzzy", size=64)[0]
    augment = Augment(noise=0.02)
    torch.manual_seed(5)
    one = augment(sample, 7)
    state = torch.get_rng_state()
    np.testing.assert_array_equal(one.image, augment(sample, 7).image)
    assert torch.equal(state, torch.get_rng_state())  # the program's own random numbers are left alone
    assert not np.array_equal(one.image, augment(sample, 8).image)
    assert one.law.probs.sum() == pytest.approx(1)
    floating = Sample.of(sample.float_image, sample.masks, id="f")
    assert augment(floating, 7).image.dtype == np.float32


def test_augmentation_never_loses_the_object():
    masks = mask((0, 0))[None]
    for seed in range(20):
        assert Augment(shift=0.5, degrees=90)(Sample.of(IMAGE, masks, id="a"), seed).masks.any()


def test_sheet_has_a_row_a_sample():
    rows = [Synthetic(kind, size=40)[0] for kind in ("nested", "click", "absent")]
    page = sheet(rows, tile=150)
    assert page.shape == (3 * (150 + 14 + 4) + 4, (1 + 4 + 1 + 3) * 154 + 4, 3)
    assert len(np.unique(page.reshape(-1, 3), axis=0)) > 100
    with pytest.raises(ValueError, match="at least one sample"):
        sheet([])


def test_sheets_hold_whole_names_and_number_hypotheses_as_python_does(drawn_words: list[Any]) -> None:
    sample = replace(Synthetic("pair", size=40)[0], id="sam-points, point shift in a box")
    sheet([sample], tile=112, answers=[np.concatenate([sample.masks[:2], np.zeros_like(sample.masks[:1])])])
    words = [said for _, said, _ in drawn_words]
    assert "".join(words[:2]).replace(" ", "") == sample.id.replace(" ", "")
    assert words[-3:] == ["hypothesis 0", "hypothesis 1", "2: empty"]
    assert all(x1 - x0 <= 112 for _, _, (x0, _, x1, _) in drawn_words)


def test_names_too_long_for_a_sheet_keep_both_ends(drawn_words: list[Any]) -> None:
    ids = [f"1.3.6.1.4.1.14519.5.2.1.6279.6001.298806137288633453246975630178/slice-{i}" for i in range(2)]
    sheet([replace(Synthetic("pair", size=40)[0], id=one) for one in ids], tile=96)
    lines = [said for _, said, _ in drawn_words]
    assert (
        sum(line.endswith("slice-0") for line in lines)
        == sum(line.endswith("slice-1") for line in lines)
        == 1
    )
    assert sum(line.startswith("1.3.6") for line in lines) == 2
