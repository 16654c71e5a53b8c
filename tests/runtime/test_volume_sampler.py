"""Following an object through a volume: with a stand-in for the network, whose readings are thresholds."""

from __future__ import annotations

import re
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import asam_trt
from asam_trt import palette, plots, volume_render
from asam_trt.follow import LOST_BELOW
from asam_trt.geometry import Frame, as_image
from asam_trt.grid import Grid
from asam_trt.histogram import histogram
from asam_trt.hypotheses import Hypotheses
from asam_trt.volume import Volume
from asam_trt.volume_hypotheses import VolumeHypotheses

SIDE = 256
SPACING = (2.0, 0.5, 0.7)


class Thresholds(asam_trt.Session):
    """Hypothesis i is what is brighter than its threshold within the box; one beyond 1 sees nothing anywhere."""

    def __init__(self, *levels: float) -> None:
        self.levels = levels
        self.boxes: list[Any] = []
        sizes = SimpleNamespace(latent=4, side=SIDE, logits_side=SIDE // 4)
        self.engine = SimpleNamespace(sampler=sizes)  # type: ignore[assignment]

    def encode(self, image: Any) -> Any:
        return as_image(image)

    def sample(self, *, image: Any, box: Any = None, point_coords: Any = None, eps: Any, **_: Any) -> Any:  # type: ignore[override]
        assert len(eps) == len(self.levels)
        self.boxes.append(box)
        h, w = image.shape[:2]
        frame = Frame.of(h, w, SIDE)
        at = frame.to_user_coords(np.stack(np.meshgrid(*[np.arange(SIDE // 4) * 4 + 2.0] * 2), axis=-1))
        x, y = at[..., 0], at[..., 1]
        grey = image[np.clip(y.astype(int), 0, h - 1), np.clip(x.astype(int), 0, w - 1), 0]
        grey[(x >= w) | (y >= h)] = -1
        if box is not None:
            grey[(x < box[0]) | (y < box[1]) | (x > box[2]) | (y > box[3])] = -1
        logits = np.array([20 * (grey - level) for level in self.levels], np.float32)
        return Hypotheses(logits, np.ones(len(logits), np.float32), frame, image=image)


def ball(radius: float, *, depth: int = 24, centre: tuple[float, float, float] = (24.0, 16, 21)) -> Volume:
    """Brightness that falls from 1 in the middle to 0.5 at ``radius`` mm, 0 at twice that; slices of 64 x 60 pixels."""
    index = np.indices((depth, 64, 60), np.float32)
    r = np.sqrt(sum((index[a] * SPACING[a] - centre[a]) ** 2 for a in range(3)))
    values = np.clip(1 - r / (2 * radius), 0, 1).astype(np.float32)
    affine = np.zeros((4, 4))
    affine[(2, 1, 0), (2, 1, 0)] = SPACING[0], -SPACING[1], -SPACING[2]
    affine[3, 3] = 1
    grid = Grid.placed((60, 64, depth), affine)
    volume = Volume(values, grid, "ball")
    np.testing.assert_array_equal(grid.seen(values.transpose(2, 1, 0)), values)
    return volume


BOX = (12, 14, 48, 50)


def run(session: asam_trt.Session, volume: Volume, **more: Any) -> VolumeHypotheses:
    options = {"slice": 12, "box": BOX, **more}
    return asam_trt.VolumeSampler(session).run(volume, **options)


def test_the_volume_of_a_ball() -> None:
    volume = ball(8.0)
    seen: list[int] = []
    found = run(Thresholds(0.4, 0.5, 0.6, 2.0), volume, n=4, on_slice=seen.append)
    assert found.ends == ("empty", "empty")
    assert seen[0] == 12
    first, last = found.slices[0].index, found.slices[-1].index
    assert sorted(seen) == list(range(min(seen), max(seen) + 1))
    assert first - 1 <= min(seen) <= first < last <= max(seen) <= last + 1
    masks = np.stack([found.mask(i) for i in range(4)])
    size = found.size()
    assert size.unit == "ml"
    np.testing.assert_allclose(size.values, masks.sum(axis=(1, 2, 3)) * np.prod(SPACING) / 1000)
    for ml, radius in zip(size.values, (9.6, 8.0, 6.4), strict=False):
        assert ml == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.06)
    np.testing.assert_allclose(found.mean(), masks.mean(axis=0), atol=1e-6)
    np.testing.assert_array_equal(found.majority(), masks.sum(axis=0) >= 2)
    assert found.p_empty == 0.25
    said = found.summary()["slices"]
    assert (said["first"], said["last"]) == (first, last)
    assert (volume.values[masks[1]] > 0.4).all()  # on the object, not beside it


def test_bounds_and_edges() -> None:
    volume = ball(8.0)
    found = run(Thresholds(0.5), volume, n=1, slices=(11, 13))
    assert [one.index for one in found.slices] == [11, 12, 13]
    assert found.ends == ("limit", "limit")
    cut = Volume(volume.values[11:], Grid.placed((60, 64, 13), volume.grid.affine), "cut")  # type: ignore[arg-type]
    assert run(Thresholds(0.5), cut, n=1, slice=1).ends == ("edge", "empty")


def test_what_is_not_believed_at_an_end_is_left_out() -> None:
    """Beyond the object this network sees all of the box, in other colours."""

    class Whole(Thresholds):
        def sample(self, *, image: Any, box: Any = None, **more: Any) -> Any:  # type: ignore[override]
            found = super().sample(image=image, box=box, **more)
            return found if found.areas.any() else super().sample(image=image + 0.9, box=box, **more)

    values = np.zeros((20, 64, 60), np.float32)
    values[7:12, 20:40, 20:40] = 0.9
    found = run(Whole(0.5), Volume.of(values), n=1, slice=9)
    assert [one.index for one in found.slices] == list(range(7, 12))
    assert found.ends == ("lost", "lost")
    assert all(one.confidence >= LOST_BELOW for one in found.slices)
    assert found.size().unit == "voxels"
    assert found.size().median == pytest.approx(5 * 400, rel=0.1)


def test_the_box_follows_and_air_is_passed() -> None:
    """A leaning rod; the window shows nothing of the last slices."""
    values = np.full((14, 64, 60), -1000, np.int16)
    for i in range(10):
        values[i, 10 + i : 22 + i, 20:32] = 100
    session = Thresholds(0.5)
    found = run(session, Volume.of(values), n=1, slice=0, box=(18, 8, 34, 24), window=(-200, 200))
    assert [one.index for one in found.slices] == list(range(10))
    assert found.ends == ("edge", "empty")
    assert found.size().median == pytest.approx(10 * 144, rel=0.15)
    assert session.boxes[9][1] > 14


def test_points_and_nothing_there() -> None:
    volume = ball(8.0)
    session = Thresholds(0.5, 0.6)
    found = run(session, volume, box=None, point_coords=[[30, 32]], point_labels=[1], n=2)
    assert session.boxes[0] is None
    assert found.slices[0].index < 12 < found.slices[-1].index
    nothing = run(Thresholds(2.0, 2.0), volume, n=2)
    assert [one.index for one in nothing.slices] == [12]
    assert (nothing.p_empty, nothing.size().median) == (1.0, 0.0)


def test_a_crop_is_put_back_where_it_was_taken() -> None:
    volume = ball(6.0)
    session = Thresholds(0.5, 0.6)
    whole, found = run(session, volume, n=2), run(session, volume, n=2, crop=44)
    assert found.region == (8, 10, 52, 54)
    for i, radius in enumerate((6.0, 4.8)):
        assert found.size().values[i] == pytest.approx(4 / 3 * np.pi * radius**3 / 1000, rel=0.06)
        a, b = whole.mask(i), found.mask(i)
        assert (a & b).sum() > 0.9 * (a | b).sum()
    assert found.slices[3].box is not None
    np.testing.assert_allclose(found.slices[3].box, whole.slices[3].box, atol=1.5)  # type: ignore[arg-type]
    assert run(session, volume, n=2, crop=1000).region == (0, 0, 60, 64)
    points = run(session, volume, box=None, point_coords=[[30, 32]], point_labels=[1], n=2, crop=44)
    assert points.region == (8, 10, 52, 54)
    assert points.size().median == pytest.approx(found.size().median, rel=0.05)


def test_what_makes_an_answer_doubtful_is_told() -> None:
    """Of 256 pixels that the network sees, a box of 12 in 250 is 12.3 of them, and one of 16 is 16.4."""
    values = np.zeros((3, 250, 200), np.float32)
    values[1, 100:120, 100:120] = 0.9
    volume, session = Volume.of(values), Thresholds(0.5)
    small, fair = (100, 104, 112, 116), (100, 104, 110, 120)
    point: dict[str, Any] = {"box": None, "point_coords": [(110, 110)], "point_labels": [1]}

    def told(volume: Volume = volume, **more: Any) -> str:
        return " ".join(run(session, volume, n=1, slice=1, **more).remarks)

    assert told(box=small) == "the network sees the box 12 pixels wide: crop=48 shows it larger"
    assert told(box=(100, 104, 104, 108)).endswith("crop=32 shows it larger")
    assert told(box=fair) == told(box=small, crop=48) == told(**point, crop=48) == ""
    assert told(box=fair, crop=251).startswith("crop=251 is larger than the slice, 200 x 250 (w x h)")
    assert "the box is larger than crop=16" in told(box=(90, 90, 130, 130), crop=16)
    assert told(**point).startswith("points do not say how large")
    through = Volume.of(np.repeat(values[1:2], 3, axis=0))
    assert told(through, box=fair).startswith("the object goes from the first slice of the scan to the last")
    assert told(through, box=fair, slices=(0, 1)) == ""


def test_the_sheet_shows_the_slice_of_the_prompt(drawn_words: list[Any]) -> None:
    volume = ball(8.0)
    for found in (
        run(Thresholds(0.5, 2.0), ball(14.0, depth=40, centre=(40.0, 16, 21)), n=2, slice=19),
        run(Thresholds(2.0), volume, n=1),  # nothing anywhere
        run(Thresholds(0.5), volume, n=1, slices=(12, 12)),
    ):
        drawn_words.clear()
        sheet = volume_render.sheet(found)
        captions = [words for _, words, _ in drawn_words if re.match(r"\d+( \(prompt\))?   ", words)]
        assert len(captions) == min(len(found.slices), 12)
        (shown,) = [words for _, words, _ in drawn_words if "below each its number" in words]
        assert shown.startswith(
            f"{len(captions)} of " if len(found.slices) > 12 else f"{len(captions)} slice"
        )
        assert [words for words in captions if words.startswith(f"{found.prompted} (prompt)")]
        (title,) = [words for _, words, _ in drawn_words if words.startswith("volume in ml")]
        assert f"median {found.size().median:.4g}" in title
        for _, words, (x0, _, x1, _) in drawn_words:
            assert x0 >= 0, words
            assert x1 <= sheet.width, words


def test_the_sheet_shows_the_prompt() -> None:
    volume = ball(8.0)
    white = []
    for prompt in ({"slices": (12, 13)}, {"box": None, "point_coords": [(30, 32)], "point_labels": [1]}):
        found = run(Thresholds(0.5), volume, n=1, **prompt)
        without = replace(found, points=None, slices=tuple(replace(one, box=None) for one in found.slices))
        places = np.argwhere(
            (np.asarray(volume_render.sheet(found).crop((0, 60, 960, 500))) == palette.INK).all(axis=2)
        )
        white.append(len(places))
        assert len(places) > 20
        bare = np.asarray(volume_render.sheet(without).crop((0, 60, 960, 200)))
        assert not (bare == palette.INK).all(axis=2).any()
    assert white[0] != white[1]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 11, 23, 32, 101])
def test_no_bar_leaves_its_axes(count: int, drawn_words: list[Any]) -> None:
    """The title lies above them, and the numbers beside them are whole."""
    page = np.asarray(histogram(np.full(count, 3.0), title="", x_label="ml"))
    assert (page == palette.CATEGORIES[0]).all(axis=2).any()
    assert not (page[:22] == palette.CATEGORIES[0]).all(axis=2).any()
    beside = [float(words) for _, words, (x0, _, _, _) in drawn_words if words and x0 < 70]
    assert max(beside) >= count
    assert all(value.is_integer() for value in beside)


def test_ticks_of_whole_numbers() -> None:
    assert plots.ticks(5, 5, whole=True) == [5, 6]
    for last in range(6, 60):
        found = plots.ticks(5, last, whole=True)
        assert found[0] <= 5 < last <= found[-1]
        assert len(found) <= 7
        assert all(value.is_integer() for value in found)


def test_arguments() -> None:
    volume, session = ball(8.0), Thresholds(0.5)
    for more, said in (
        ({"slice": 24}, "expected the slice of the prompt within 0 to 23, came 24"),
        ({"slice": 3, "slices": (5, 9)}, "within 5 to 9, which are the slices asked for, came 3"),
        ({"slices": (5, 99)}, "expected slices FIRST <= LAST within 0 to 23, came 5 and 99"),
        ({"slices": (13, 11)}, "expected slices FIRST <= LAST within 0 to 23, came 13 and 11"),
        ({"box": None}, "expected a box, points or a mask"),
        ({"crop": 3}, "expected crop of at least 16 pixels, came 3"),
        ({"window": (3, 4)}, "expected a window that overlaps"),
    ):
        with pytest.raises(ValueError, match=said):
            run(session, volume, n=1, **more)
    with pytest.raises(TypeError, match="read_volume"):
        run(session, volume.values, n=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="Session"):
        asam_trt.VolumeSampler(None)  # type: ignore[arg-type]
