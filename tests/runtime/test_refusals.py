"""Calls that ask for what cannot be given: refused with words, before the work, and with the right type."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import asam_trt
from asam_trt import geometry, hypotheses, modes, noise
from asam_trt import session as sessions
from asam_trt.geometry import Frame
from asam_trt.hypotheses import Hypotheses
from asam_trt.video import VideoSampler, VideoWriter, write_video

BOX = (10.0, 8.0, 60.0, 45.0)
LATENT = 32
EPS = np.zeros((2, 2, LATENT))
FRAME = Frame.of(96, 128, 128)
LOGITS, SCORES = np.zeros((2, 32, 32), np.float32), np.zeros(2, np.float32)


def masked(values: Any) -> Any:
    return np.ma.masked_array(values, mask=np.zeros(np.shape(values), bool))


CALLS: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"temperature": 10**400}, ValueError, "temperature"),
    ({"temperature": 1e300}, ValueError, "temperature"),
    ({"temperature": 1e38}, ValueError, r"temperature to keep the noise within 1e\+06"),
    ({"temperature": 1e10}, ValueError, r"temperature to keep the noise within 1e\+06 "),
    ({"temperature": True}, TypeError, "temperature"),
    ({"eps": np.full((2, 2, LATENT), 1e38)}, ValueError, "eps to keep the noise within"),
    ({"mask_input": np.full((16, 16), 1e300)}, ValueError, "mask_input, logits, within"),
    (
        {"mask_input": np.random.default_rng(0).normal(scale=1e38, size=(16, 16))},
        ValueError,
        "mask_input, log",
    ),
    ({"eps": np.full((2, 2, LATENT), 1e300)}, ValueError, "eps within float32"),
    ({"eps": np.full((2, 2, LATENT), 1e30), "temperature": 1e30}, ValueError, "temperature"),
    ({"eps": masked(EPS)}, TypeError, "eps as a plain array"),
    ({"box": masked(BOX)}, TypeError, "box as a plain array"),
    ({"mask_input": masked(np.zeros((16, 16)))}, TypeError, "mask_input as a plain array"),
    ({"box": None, "boxes": 5}, TypeError, "sequence of boxes"),
    ({"box": None, "boxes": "abcd"}, TypeError, "sequence of boxes"),
    ({"box": None, "boxes": masked([BOX])}, TypeError, "boxes as a plain array"),
    ({"box": None, "boxes": [BOX] * (1 << 15), "n": 1 << 9}, ValueError, "n from 1 to 128 "),
    ({"n": 1 << 17}, ValueError, "n from 1 to 65536 "),
]


@pytest.mark.parametrize(("arguments", "error", "words"), CALLS, ids=[w for *_, w in CALLS])
def test_sampling_names_the_argument(
    session: asam_trt.Session,
    image: np.ndarray,
    arguments: dict[str, Any],
    error: type[Exception],
    words: str,
) -> None:
    session.set_image(image)
    with pytest.raises(error, match=words):
        session.sample(**{"box": BOX, **arguments})


def test_small_integer_types_count(session: asam_trt.Session, image: np.ndarray) -> None:
    session.set_image(image)
    assert len(session.sample(box=BOX, n=np.int8(3), temperature=np.int8(1))) == 3  # type: ignore[arg-type]


def test_the_limit_of_n_is_that_of_the_logits() -> None:
    assert noise.most_hypotheses(256) == 16384
    assert noise.most_hypotheses(256, prompts=64) == 256
    assert noise.most_hypotheses(16) == noise.MAX_HYPOTHESES


def test_many_hypotheses_take_several_native_calls(
    session: asam_trt.Session, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.set_image(image)
    whole = session.sample(box=BOX, n=7, seed=1)
    sizes: list[int] = []
    backend = session._running()
    real = backend.sample

    def counted(image: Any, prompt: Any, eps: Any) -> Any:
        sizes.append(len(eps))
        return real(image, prompt, eps)

    monkeypatch.setattr(backend, "sample", counted)
    monkeypatch.setattr(sessions, "_CALL_HYPOTHESES", 3)
    monkeypatch.setattr(hypotheses, "_CALL_PIXELS", 3 * 50 * 80)
    monkeypatch.setattr(hypotheses, "_COUNTED_PIXELS", 2 * 50 * 80)
    monkeypatch.setattr(modes, "_CALL_WORDS", 1)
    parts = session.sample(box=BOX, n=7, seed=1)
    assert sizes == [3, 3, 1]
    np.testing.assert_array_equal(parts.logits, whole.logits)
    np.testing.assert_array_equal(parts.scores, whole.scores)
    np.testing.assert_array_equal(parts.masks, np.stack(list(whole)))
    np.testing.assert_array_equal(parts.counts, parts.masks.sum(axis=0))
    np.testing.assert_array_equal(parts.areas, parts.masks.sum(axis=(1, 2)))
    in_rows = modes.iou_distances(parts.masks)
    packed_in_parts = session.sample(box=BOX, n=7, seed=1).modes(2)
    monkeypatch.undo()
    np.testing.assert_array_equal(in_rows, modes.iou_distances(parts.masks))
    for name, found in vars(packed_in_parts).items():
        np.testing.assert_array_equal(found, getattr(parts.modes(2), name))


def test_scores_that_are_not_finite_are_the_engines_mistake(
    session: asam_trt.Session, image: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    session.set_image(image)
    backend = session._running()
    real = backend.sample
    monkeypatch.setattr(backend, "sample", lambda *a: (real(*a)[0], np.full(2, np.nan, np.float32)))
    with pytest.raises(asam_trt.EngineError, match="finite scores"):
        session.sample(box=BOX, n=2)


@pytest.mark.parametrize(
    "picture",
    [
        lambda: np.broadcast_to(np.zeros((1, 1, 3), np.uint8), (1 << 15, (1 << 13) + 1, 3)),
        lambda: np.broadcast_to(np.float32(0), (1 << 15, (1 << 13) + 1)),
    ],
)
def test_pixels_are_counted_before_anything_is_copied(picture: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match="at most 268435456 pixels, came 8193 x 32768"):
        geometry.as_image(picture())


def test_a_picture_that_is_cut_is_told_when_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    Image.effect_noise((90, 80), 60).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as picture, pytest.raises(ValueError, match="expected a readable PIL image"):
        geometry.as_image(picture)


@pytest.mark.parametrize(
    ("tensor", "advice", "follow"),
    [
        (torch.rand(9, 8, 3).bfloat16(), ".detach().float().cpu()", lambda x: x.detach().float().cpu()),
        (
            torch.rand(9, 8, 3).bfloat16().requires_grad_(),
            ".detach().float().cpu()",
            lambda x: x.detach().float().cpu(),
        ),
        (torch.rand(9, 8, 3).requires_grad_(), ".detach().cpu()", lambda x: x.detach().cpu()),
        (
            torch.rand(9, 8, 3).to_sparse(),
            ".detach().to_dense().cpu()",
            lambda x: x.detach().to_dense().cpu(),
        ),
    ],
)
def test_the_advice_on_a_tensor_helps(
    tensor: torch.Tensor, advice: str, follow: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    with pytest.raises(TypeError) as stop:
        geometry.as_image(tensor)
    assert f"in PyTorch: image{advice})" in str(stop.value)
    assert geometry.as_image(follow(tensor)).shape == (9, 8, 3)


def test_a_tensor_without_values_is_told() -> None:
    with pytest.raises(TypeError, match="has no values"):
        geometry.as_image(torch.rand(9, 8, 3, device="meta"))


@pytest.mark.parametrize(("threads", "error"), [(0, ValueError), (1025, ValueError), ("2", TypeError)])
def test_a_session_names_its_threads(engine: Path, threads: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="threads"):
        asam_trt.Session(engine, threads=threads)


def test_masked_images_are_refused() -> None:
    with pytest.raises(TypeError, match="image as a plain array"):
        geometry.as_image(masked(np.zeros((4, 5), np.uint8)))


@pytest.mark.parametrize("path", [None, 3, b"x.asam"])
def test_an_engine_path_is_a_path(path: Any) -> None:
    with pytest.raises(TypeError, match="expected path to be a path"):
        asam_trt.Session(path)


def test_a_wrong_instruction_set_is_not_the_engines_mistake(engine: Path) -> None:
    script = (
        "import sys, asam_trt\n"
        "try: asam_trt.Session(sys.argv[1])\n"
        "except ValueError as error: print(error); print(sys.argv[1] in str(error))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(engine)],
        env={**os.environ, "ASAM_FORCE_ISA": "nonsense"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "ASAM_FORCE_ISA" in done.stdout
    assert done.stdout.strip().endswith("False")


class TestHypotheses:
    @pytest.mark.parametrize(
        "arguments",
        [
            (None, SCORES, FRAME),
            (LOGITS, SCORES.tolist(), FRAME),
            (LOGITS, SCORES, None),
            (masked(LOGITS), SCORES, FRAME),
        ],
    )
    def test_their_parts_have_types(self, arguments: tuple[Any, ...]) -> None:
        with pytest.raises(TypeError, match="expected"):
            Hypotheses(*arguments)
        with pytest.raises(TypeError, match="expected image"):
            Hypotheses(LOGITS, SCORES, FRAME, image="photo.png")  # type: ignore[arg-type]

    @pytest.mark.parametrize("name", ["polygons", "contours", "resized_logits", "__getitem__"])
    def test_they_are_numbered_by_integers(self, discs: Any, name: str) -> None:
        for i in (0.0, None, "0"):
            with pytest.raises(TypeError, match="number of a hypothesis as an integer"):
                getattr(discs([9.0]), name)(i)

    def test_words_for_wrong_arguments(self, discs: Any) -> None:
        for call in (discs([9.0]).consensus, discs([9.0]).area):
            for value in (None, "half", True):
                with pytest.raises(TypeError, match="to be a number"):
                    call(value)
        with pytest.raises(ValueError, match="path"):
            discs([9.0]).save("")
        with pytest.raises(TypeError, match="path"):
            discs([9.0]).save(None)

    def test_saving_does_not_begin_what_cannot_end(self, discs: Any, tmp_path: Path) -> None:
        (tmp_path / "full").mkdir()
        (tmp_path / "full" / "thesis.tex").write_text("years")
        (tmp_path / "h.npz").mkdir()
        (tmp_path / "file").write_text("text")
        for name, words in (("full", "empty folder"), ("h.npz", "path of a file"), ("file", "came a file")):
            with pytest.raises(ValueError, match=words):
                discs([9.0]).save(tmp_path / name)
        assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "full", "h.npz"]
        assert (tmp_path / "full" / "thesis.tex").read_text() == "years"

    def test_masks_beyond_the_limit_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        huge = Hypotheses(
            np.zeros((64, 32, 32), np.float32), np.zeros(64, np.float32), Frame.of(1 << 14, 1 << 14, 128)
        )
        for ask in (lambda: huge.masks, huge.modes):
            with pytest.raises(ValueError, match=r"came 64 \* 16384 \* 16384.*hyp\[:32\]"):
                ask()

    def test_modes_beyond_the_limit_are_named(self) -> None:
        with pytest.raises(ValueError, match="at most 8192 masks to group, came 8193"):
            modes.find_modes(np.broadcast_to(np.True_, (8193, 2, 2)))


class TestVideo:
    def test_two_runs_keep_their_prompts(self, session: asam_trt.Session, image: np.ndarray) -> None:
        sampler = VideoSampler(session)
        other = (20.0, 10.0, 40.0, 30.0)
        first = sampler.run([image] * 3, box=BOX, n=1)
        next(first)
        second = sampler.run([image] * 3, box=other, n=1)
        assert next(first)[0].box == BOX
        assert next(second)[0].box == other
        sampler.set_prompt(box=(1, 2, 30, 40))
        assert next(first)[0].box == BOX
        assert next(second)[0].box == (1, 2, 30, 40)

    def test_a_prompt_needs_a_run(self, session: asam_trt.Session, image: np.ndarray) -> None:
        sampler = VideoSampler(session)
        with pytest.raises(RuntimeError, match="run first"):
            sampler.set_prompt(box=BOX)
        sampler.run([image], box=BOX, n=1, follow=True)
        with pytest.raises(ValueError, match="to follow"):
            sampler.set_prompt()

    @pytest.mark.parametrize("realtime", [False, True])
    def test_one_buffer_for_all_frames(self, session: asam_trt.Session, realtime: bool) -> None:
        def refilled() -> Iterator[np.ndarray]:
            buffer = np.empty((48, 80, 3), np.uint8)
            for i in range(5):
                buffer[:] = i
                yield buffer
                time.sleep(0.02)

        seen = list(VideoSampler(session).run(refilled(), box=BOX, n=1, realtime=realtime))
        assert [int(f.image.max()) for f, _ in seen] == [f.index for f, _ in seen]

    def test_wrong_arguments(self, session: asam_trt.Session, image: np.ndarray) -> None:
        with pytest.raises(ValueError, match="either eps or noise='redrawn'"):
            VideoSampler(session).run([image], box=BOX, n=2, eps=EPS, noise="redrawn")
        with pytest.raises(TypeError, match="read_ahead"):
            VideoSampler(session).run([image], box=BOX, read_ahead="4")  # type: ignore[arg-type]
        for thing in (None, "engine.asam"):
            with pytest.raises(TypeError, match="expected session to be a Session"):
                VideoSampler(thing)  # type: ignore[arg-type]

    @pytest.mark.parametrize("damage", ["cut", "16-bit", "bomb"])
    def test_a_bad_frame_of_a_folder_is_named(
        self, session: asam_trt.Session, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "frame.png"
        noisy = np.random.default_rng(0).integers(0, 1 << 15, (60, 60), dtype=np.uint16)
        Image.fromarray(noisy if damage == "16-bit" else noisy.astype(np.uint8)).save(file)
        if damage == "cut":
            file.write_bytes(file.read_bytes()[:900])
        if damage == "bomb":
            monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
        with pytest.raises(ValueError, match=r"frame\.png"):
            list(VideoSampler(session).run(tmp_path, box=BOX, n=1))

    def test_the_writer_looks_before_the_work(self, tmp_path: Path) -> None:
        (tmp_path / "clip.mp4").mkdir()
        made = []

        def frames() -> Iterator[np.ndarray]:
            made.append(1)
            yield np.zeros((16, 16, 3), np.uint8)

        with pytest.raises(ValueError, match="came the folder"):
            write_video(tmp_path / "clip.mp4", frames())
        assert made == []
        for arguments in ({"fps": "25"}, {"fps": 25, "quality": "high"}):
            with pytest.raises(TypeError, match="expected"):
                VideoWriter(tmp_path / "other.mp4", **arguments)
        with pytest.raises(ValueError, match="quality from 0 to 51"):
            VideoWriter(tmp_path / "other.mp4", quality=52)
        assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]

    def test_frames_that_no_encoder_takes(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match=r"clip\.mp4: expected frames that the video encoder takes"):
            write_video(tmp_path / "clip.mp4", [np.zeros((2, 40000, 3), np.uint8)])
        assert list(tmp_path.iterdir()) == []


def test_videos_that_are_none(session: asam_trt.Session) -> None:
    sampler = asam_trt.VideoSampler(session)
    with pytest.raises(ValueError, match="came an empty name"):
        sampler.run("", box=(1, 1, 9, 9), n=1)
    with pytest.raises(ValueError, match="expected images, came none"):
        next(sampler.run([], box=(1, 1, 9, 9), n=1))
