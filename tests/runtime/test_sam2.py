"""The calls of SAM 2's video notebook, against `VideoSampler` and `Session`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import asam_trt
from asam_trt.follow import box_around
from asam_trt.sam2 import NO_OBJECT, VideoPredictor
from asam_trt.video import VideoSampler

BOX = np.array([10, 8, 60, 45], np.float32)
POINTS, LABELS = np.array([[40, 20]], np.float32), np.array([1], np.int32)


def moving(count: int) -> Iterator[np.ndarray]:
    y, x = np.mgrid[:48, :80]
    for i in range(count):
        frame = np.full((48, 80, 3), 20 + 5 * i, np.uint8)
        frame[(x - 20 - i) ** 2 + (y - 24) ** 2 < 100] = (220, 60, 40)
        yield frame


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for i, frame in enumerate(moving(6)):
        Image.fromarray(frame).save(tmp_path / f"{i}.png")
    return tmp_path


@pytest.fixture
def predictor(session: asam_trt.Session) -> VideoPredictor:
    return VideoPredictor(session, n=5, seed=3)


def test_the_notebook_runs(predictor: VideoPredictor, session: asam_trt.Session, folder: Path) -> None:
    state = predictor.init_state(video_path=str(folder))
    assert (state["num_frames"], state["video_height"], state["video_width"]) == (6, 48, 80)
    _, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id=1, box=BOX
    )
    frame_idx, out_obj_ids, out_mask_logits = predictor.add_new_points_or_box(
        inference_state=state, frame_idx=0, obj_id=7, points=POINTS, labels=LABELS
    )
    assert (frame_idx, out_obj_ids, out_mask_logits.shape) == (0, [1, 7], (2, 1, 48, 80))
    session.set_image(next(moving(1)))
    expected = session.sample(box=BOX, n=5, seed=3)
    np.testing.assert_array_equal(out_mask_logits[0, 0] > 0, expected.consensus())

    video_segments = {}
    for out_frame_idx, out_obj_ids, out_mask_logits in predictor.propagate_in_video(state):
        video_segments[out_frame_idx] = {
            out_obj_id: (out_mask_logits[i] > 0.0).cpu().numpy() for i, out_obj_id in enumerate(out_obj_ids)
        }
        assert len(state["hypotheses"][1]) == 5
    assert list(video_segments) == list(range(6))
    objects = {1: {"box": BOX}, 7: {"point_coords": POINTS, "point_labels": LABELS}}
    stream = VideoSampler(session).run(folder, objects=objects, n=5, seed=3, follow=True)
    for frame, found in stream:
        for name, hyp in found.items():
            mask = video_segments[frame.index][name]
            assert type(mask) is np.ndarray
            assert mask.shape == (1, 48, 80)
            if not frame.tracks[name].lost:
                np.testing.assert_array_equal(mask[0], hyp.consensus())


def test_prompts_on_later_frames(predictor: VideoPredictor, folder: Path) -> None:
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 1, "a", box=BOX)
    index, names, masks = predictor.add_new_points_or_box(state, 3, "b", box=BOX / 2)
    assert (index, names) == (3, ["a", "b"])
    assert (masks[0] == NO_OBJECT).all()
    seen = {i: masks for i, _, masks in predictor.propagate_in_video(state)}
    assert list(seen) == [1, 2, 3, 4, 5]
    for i, found in seen.items():
        assert bool((found[1] == NO_OBJECT).all()) == (i < 3)
    assert [i for i, *_ in predictor.propagate_in_video(state, 2, 1)] == [2, 3]
    assert next(i for i, *_ in predictor.propagate_in_video(state, start_frame_idx=0)) == 1


def test_a_propagation_goes_on_where_another_ended(
    predictor: VideoPredictor, session: asam_trt.Session, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, box=BOX)
    whole = {i: masks for i, _, masks in predictor.propagate_in_video(state)}
    boxes = dict(state["boxes"][1])
    assert list(boxes) == list(whole) == list(range(6))
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, box=BOX)
    parts = {i: masks for i, _, masks in predictor.propagate_in_video(state, 0, 2)}
    asked = []
    sample = session.sample

    def watched(**arguments: Any) -> Any:
        asked.append(tuple(arguments["box"]))
        return sample(**arguments)

    monkeypatch.setattr(session, "sample", watched)
    later = {i: masks for i, _, masks in predictor.propagate_in_video(state, 3)}
    assert (list(parts), list(later)) == ([0, 1, 2], [3, 4, 5])
    np.testing.assert_allclose(asked[0], boxes[2])  # from the last box that is known
    for i, masks in parts.items():
        np.testing.assert_array_equal(masks, whole[i])

    # Where nothing was followed yet, the frames before are seen and not shown: the same as the whole.
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, box=BOX)
    found = {i: masks for i, _, masks in predictor.propagate_in_video(state, 4)}
    assert list(found) == [4, 5]
    for i, masks in found.items():
        np.testing.assert_array_equal(masks, whole[i])


def test_points_on_a_followed_frame_are_asked_within_its_box(
    predictor: VideoPredictor, session: asam_trt.Session, folder: Path
) -> None:
    state = predictor.init_state(folder)
    for name in (1, 2):
        predictor.add_new_points_or_box(state, 0, name, box=BOX / name)
    before = {i: masks.copy() for i, _, masks in predictor.propagate_in_video(state)}
    box = state["boxes"][1][3]
    _, names, masks = predictor.add_new_points(state, 3, 1, [[30, 30]], [0])
    assert names == [1, 2]
    session.set_image(Image.open(folder / "3.png"))
    expected = session.sample(box=box, point_coords=[[30, 30]], point_labels=[0], n=5, seed=3)
    np.testing.assert_array_equal(masks[0, 0] > 0, expected.consensus())
    np.testing.assert_array_equal(masks[1], before[3][1])  # the other one as it was followed there
    assert max(state["boxes"][1]) == 3
    after = {i: masks for i, _, masks in predictor.propagate_in_video(state)}
    np.testing.assert_array_equal(after[2], before[2])
    np.testing.assert_array_equal(after[3][0, 0] > 0, expected.consensus())


def test_an_object_that_is_removed_under_way_is_asked_no_more(
    predictor: VideoPredictor, folder: Path
) -> None:
    state = predictor.init_state(folder)
    for name in (1, 2):
        predictor.add_new_points_or_box(state, 0, name, box=BOX)
    seen = []
    for i, names, masks in predictor.propagate_in_video(state):
        seen.append((names, masks.shape[0], sorted(state["hypotheses"])))
        if i == 1:
            predictor.remove_object(state, 1)
    assert seen[1] == ([1, 2], 2, [1, 2])
    assert seen[2] == ([2], 1, [2])
    stream = predictor.propagate_in_video(state)
    next(stream)
    predictor.remove_object(state, 2)
    assert list(stream) == []


def test_what_is_read_only_once_is_refused(predictor: VideoPredictor) -> None:
    for video in (moving(3), 0, "rtsp://nowhere/stream"):
        with pytest.raises(TypeError, match=r"read again.*VideoSampler\.run"):
            predictor.init_state(video)


@pytest.mark.parametrize(("start", "count"), [(-1, None), (6, None), (0, -1)])
def test_frames_that_are_not_there(
    predictor: VideoPredictor, folder: Path, start: int, count: int | None
) -> None:
    state = predictor.init_state(folder)
    predictor.add_new_points_or_box(state, 0, 1, box=BOX)
    with pytest.raises(ValueError, match="expected"):
        predictor.propagate_in_video(state, start, count)


def test_points_add_up_and_units(predictor: VideoPredictor, session: asam_trt.Session, folder: Path) -> None:
    state = predictor.init_state(folder)
    predictor.add_new_points(state, 0, 1, POINTS, LABELS)
    more = np.array([[0.125, 0.25]])
    _, _, masks = predictor.add_new_points_or_box(
        state, 0, 1, torch.from_numpy(more), [0], clear_old_points=False, normalize_coords=False
    )
    session.set_image(next(moving(1)))
    expected = session.sample(point_coords=[[40, 20], [10, 12]], point_labels=[1, 0], n=5, seed=3)
    np.testing.assert_array_equal(masks[0, 0] > 0, expected.consensus())
    assert np.isfinite(masks).all()


def test_masks_stand_for_the_box_around_them(
    predictor: VideoPredictor, session: asam_trt.Session, folder: Path
) -> None:
    state = predictor.init_state(folder)
    mask = np.zeros((48, 80), bool)
    mask[10:30, 20:50] = True
    _, _, masks = predictor.add_new_mask(state, 0, 1, mask)
    session.set_image(next(moving(1)))
    expected = session.sample(box=box_around(mask), n=5, seed=3)
    np.testing.assert_array_equal(masks[0, 0] > 0, expected.consensus())


def test_forgetting(predictor: VideoPredictor, folder: Path) -> None:
    state = predictor.init_state(folder)
    for name in (1, 2):
        predictor.add_new_points_or_box(state, 0, name, box=BOX)
    names, frames = predictor.remove_object(state, 1)
    assert names == [2]
    assert [(i, masks.shape) for i, masks in frames] == [(0, (1, 1, 48, 80))]
    assert predictor.remove_object(state, 1) == ([2], [])
    with pytest.raises(RuntimeError, match="one of the objects"):
        predictor.remove_object(state, 1, strict=True)
    answer = predictor.clear_all_prompts_in_frame(state, 0, 2)
    assert answer is not None
    assert (answer[2] == NO_OBJECT).all()
    with pytest.raises(RuntimeError, match="first"):
        predictor.propagate_in_video(state)
    predictor.reset_state(state)
    assert state["obj_ids"] == []


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({}, ValueError, "neither"),
        ({"points": POINTS}, ValueError, "together"),
        ({"box": BOX, "clear_old_points": False}, ValueError, "clear_old_points=True"),
        ({"box": "here"}, TypeError, "numbers"),
        ({"box": BOX + 500}, ValueError, "overlaps"),
        ({"points": POINTS, "labels": [4]}, ValueError, "point_labels"),
        ({"box": BOX, "frame_idx": 99}, ValueError, "it has 6"),
        ({"box": BOX, "frame_idx": -1}, ValueError, "frame -1"),
        ({"box": BOX, "frame_idx": 1.5}, TypeError, "frame_idx"),
    ],
)
def test_wrong_questions_are_refused_and_forgotten(
    predictor: VideoPredictor, folder: Path, arguments: dict[str, Any], error: type[Exception], words: str
) -> None:
    state = predictor.init_state(folder)
    with pytest.raises(error, match=words):
        predictor.add_new_points_or_box(state, **{"frame_idx": 0, "obj_id": 1, **arguments})
    assert state["prompts"] == {}
    assert state["obj_ids"] == []


def test_other_refusals(predictor: VideoPredictor, folder: Path) -> None:
    state = predictor.init_state(folder)
    for mask, words in ((np.ones((4, 5)), "video's"), (np.zeros((48, 80)), "empty")):
        with pytest.raises(ValueError, match=words):
            predictor.add_new_mask(state, 0, 1, mask)
    with pytest.raises(ValueError, match="reverse=False"):
        predictor.propagate_in_video(state, reverse=True)
    with pytest.raises(ValueError, match="no such file"):
        predictor.init_state("nowhere.mp4")


def test_a_video_without_frames(predictor: VideoPredictor) -> None:
    with pytest.raises(ValueError, match="expected images, came none"):
        predictor.init_state([])


@pytest.mark.parametrize(
    ("state", "error"), [({}, ValueError), ({"prompts": {}}, ValueError), (None, TypeError)]
)
def test_a_state_is_what_init_state_returns(
    predictor: VideoPredictor, state: Any, error: type[Exception]
) -> None:
    for call in (
        lambda: predictor.propagate_in_video(state),
        lambda: predictor.add_new_points_or_box(state, 0, 1, box=BOX),
        lambda: predictor.add_new_mask(state, 0, 1, np.ones((48, 80))),
        lambda: predictor.reset_state(state),
        lambda: predictor.remove_object(state, 1),
        lambda: predictor.clear_all_prompts_in_frame(state, 0, 1),
    ):
        with pytest.raises(error, match="as init_state returns it"):
            call()
