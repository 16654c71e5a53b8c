"""Sources, the loop over frames, and the video writer."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import av
import numpy as np
import pytest
from PIL import Image

import asam_trt
from asam_trt import video
from asam_trt.ahead import Ahead
from asam_trt.follow import mask_box
from asam_trt.sources import RawFrame, open_source
from asam_trt.video import VideoSampler, VideoWriter, write_video

BOX = (10.0, 8.0, 60.0, 45.0)


def moving(count: int, h: int = 48, w: int = 80) -> Iterator[np.ndarray]:
    """Frames whose brightness tells their index, with a disc that moves."""
    y, x = np.mgrid[:h, :w]
    for i in range(count):
        frame = np.full((h, w, 3), 20 + 5 * i % 200, np.uint8)
        frame[(x - 20 - i) ** 2 + (y - 24) ** 2 < 100] = (220, 60, 40)
        yield frame


def noisy(count: int) -> Iterator[np.ndarray]:
    """`moving` with noise that makes every frame some kilobytes."""
    rng = np.random.default_rng(0)
    for frame in moving(count):
        yield frame // 2 + rng.integers(0, 60, frame.shape, dtype=np.uint8)


def frames_of(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def playable_frames(path: Path) -> int:
    """Frames before the end or the first damage."""
    found = 0
    with av.open(str(path)) as container, contextlib.suppress(av.error.InvalidDataError):
        for _ in container.decode(video=0):
            found += 1
    return found


def own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("asam-")]


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_video(tmp_path / "clip.mp4", moving(12), fps=10)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "frames"
    path.mkdir()
    for i, frame in enumerate(moving(12)):
        Image.fromarray(frame).save(path / f"frame{i}.png")  # frame10 sorts after frame9
    (path / "notes.txt").write_text("not a frame")
    return path


class TestSources:
    def test_file(self, clip: Path) -> None:
        source = open_source(clip)
        frames = list(source.frames())
        assert (source.fps, source.length, len(frames)) == (10, 12, 12)
        assert [f.index for f in frames] == list(range(12))
        np.testing.assert_allclose([f.time for f in frames], np.arange(12) / 10, atol=1e-6)
        for found, expected in zip(frames, moving(12), strict=True):
            assert np.abs(found.image.astype(int) - expected).mean() < 4
        source.close()

    def test_folder_is_read_in_natural_order(self, folder: Path) -> None:
        found = [f.image for f in open_source(str(folder)).frames()]
        np.testing.assert_array_equal(np.stack(found), np.stack(list(moving(12))))

    def test_iterables(self) -> None:
        assert open_source(list(moving(3))).length == 3
        assert len(list(open_source(moving(3)).frames())) == 3
        assert len(list(open_source(np.zeros((4, 9, 9, 3), np.uint8)).frames())) == 4

    def test_a_phone_video_is_turned_upright(self, tmp_path: Path) -> None:
        path = tmp_path / "turned.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
            if not hasattr(stream, "set_display_rotation"):
                pytest.skip("this PyAV cannot write a rotation")
            stream.set_display_rotation(90)
            for packet in stream.encode(av.VideoFrame.from_ndarray(next(moving(1)), format="rgb24")):
                container.mux(packet)
            container.mux(stream.encode(None))
        (frame,) = open_source(path).frames()
        assert frame.image.shape == (80, 48, 3)

    @pytest.mark.parametrize("what", ["nothing", "text", "audio", "empty folder", "empty file"])
    def test_what_is_no_video(self, tmp_path: Path, what: str) -> None:
        path = tmp_path / "thing.mp4"
        if what == "text":
            path.write_text("hello")
        elif what == "empty file":
            path.touch()
        elif what == "empty folder":
            path.mkdir()
        elif what == "audio":
            with av.open(str(path), "w") as container:
                stream = container.add_stream("aac", rate=8000)
                sound = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1024), np.float32), format="fltp", layout="mono"
                )
                sound.sample_rate = 8000
                container.mux(stream.encode(sound))
                container.mux(stream.encode(None))
        with pytest.raises(ValueError, match="expected"):
            open_source(path)

    def test_other_things(self) -> None:
        for thing in (3.5, None, b"bytes", True):
            with pytest.raises(TypeError, match="expected a video file"):
                open_source(thing)
        for camera in (-1, 4711):
            with pytest.raises(ValueError, match="camera"):
                open_source(camera)

    def test_a_cut_video_gives_what_it_has_and_then_says_so(self, tmp_path: Path) -> None:
        whole = write_video(tmp_path / "whole.mkv", moving(40), fps=10).read_bytes()
        cut = tmp_path / "cut.mkv"
        cut.write_bytes(whole[: len(whole) * 2 // 3] + b"\xff" * 200)
        indices = []

        def read() -> None:
            for frame in open_source(cut).frames():
                indices.append(frame.index)

        with pytest.raises(ValueError, match="breaks off after"):
            read()
        assert indices == list(range(len(indices)))
        assert 0 < len(indices) < 40

    @pytest.mark.parametrize("cut", [0.5, 0.9])
    def test_a_cut_matroska_file_is_found_out_by_its_header(self, tmp_path: Path, cut: float) -> None:
        whole = write_video(tmp_path / "whole.mkv", noisy(40), fps=10).read_bytes()
        path = tmp_path / "cut.mkv"
        path.write_bytes(whole[: int(len(whole) * cut)])
        with pytest.raises(ValueError, match=r"expected 4\.0 s.* breaks off after \d+ frames"):
            list(open_source(path).frames())

    def test_a_matroska_file_cut_within_its_last_frames_misses_them(self, tmp_path: Path) -> None:
        """The last frame is stored before those between it and the one it refers to, in files of most encoders."""
        path = tmp_path / "whole.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=10, options={"preset": "superfast", "crf": "18"})
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 80, 48, "yuv420p", 50
            for image in noisy(40):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode(None))
        whole = path.read_bytes()
        path = tmp_path / "cut.mkv"
        path.write_bytes(whole[: int(len(whole) * 0.97)])
        source = open_source(path)
        assert len(list(source.frames())) == 38
        assert "2 frames are missing" in source.remarks[0]

    def test_a_hole_in_the_middle_is_told_and_the_rest_is_used(
        self, session: asam_trt.Session, tmp_path: Path
    ) -> None:
        path = write_video(tmp_path / "whole.mkv", noisy(120), fps=10)
        data = bytearray(path.read_bytes())
        middle = len(data) // 2
        data[middle : middle + 3000] = np.random.default_rng(1).integers(0, 256, 3000, np.uint8).tobytes()
        path.write_bytes(data)
        with pytest.warns(RuntimeWarning, match=r"whole\.mkv: \d+ (of \d+ )?frames are (missing|damaged)"):
            frames = list(VideoSampler(session).run(path, box=BOX, n=1))
        assert frames[-1][0].time == pytest.approx(11.9, abs=0.05)
        assert len(frames) < 120 or any(frame.damaged for frame, _ in frames)

    def test_whole_videos_pass_without_a_word(self, tmp_path: Path) -> None:
        for name, fps in (("a.mkv", 29.97), ("a.mp4", 60), ("a.mov", 10)):
            source = open_source(write_video(tmp_path / name, noisy(31), fps=fps))
            assert len(list(source.frames())) == 31
            assert source.remarks == []

    def test_a_video_of_uneven_times_has_no_holes(self, tmp_path: Path) -> None:
        path = tmp_path / "screen.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = 80, 48, "yuv420p"
            at = 0
            for i, image in enumerate(moving(20)):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts = at
                at += 1 + i * 7 % 12
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        source = open_source(path)
        assert len(list(source.frames())) == 20
        assert source.remarks == []

    def test_flipped_bits_are_told(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "whole.mp4", noisy(60), fps=10)
        whole = path.read_bytes()
        rng = np.random.default_rng(0)
        told = 0
        for _ in range(12):
            data = bytearray(whole)
            for i in rng.integers(len(data) // 10, len(data) * 9 // 10, 20):
                data[i] ^= int(rng.integers(1, 256))
            path.write_bytes(data)
            source = open_source(path)
            try:
                frames = list(source.frames())
                told += bool(source.remarks)
                assert bool(source.remarks) == (len(frames) < 60 or any(f.damaged for f in frames))
            except ValueError:
                told += 1
        assert told >= 10

    def test_frames_that_the_decoder_drops_without_a_word_are_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = open_source(write_video(tmp_path / "whole.mp4", noisy(31)))
        decoded = type(source)._decoded  # type: ignore[attr-defined]
        monkeypatch.setattr(type(source), "_decoded", lambda self: itertools.islice(decoded(self), 30))
        assert len(list(source.frames())) == 30
        assert len(source.remarks) == 1
        assert "30 frames came where the file announces 31" in source.remarks[0]

    def test_a_broken_frame_is_named(self, folder: Path) -> None:
        (folder / "frame5.png").write_bytes(b"no image")
        with pytest.raises(ValueError, match=r"frame5\.png"):
            list(open_source(folder).frames())


class TestAhead:
    def test_no_more_items_are_made_than_asked_for(self) -> None:
        made = []

        def counted() -> Iterator[int]:
            for i in range(30):
                made.append(i)
                yield i

        ahead = Ahead(counted(), depth=3, name="asam-test")
        stream = iter(ahead)
        next(stream)
        time.sleep(0.3)
        assert len(made) <= 1 + 3 + 1
        ahead.stop()
        ahead.join()
        assert own_threads() == []
        assert list(ahead) == []

    def test_everything_comes_in_order_and_ends_for_good(self) -> None:
        ahead = Ahead(iter(range(200)), depth=2, name="asam-test")
        assert list(ahead) == list(range(200))
        assert list(ahead) == []
        ahead.stop()
        ahead.join()

    def test_the_newest_is_kept(self) -> None:
        def slow() -> Iterator[int]:
            for i in range(30):
                yield i
                time.sleep(0.01)

        ahead = Ahead(slow(), newest=True, name="asam-test")
        seen = []
        for i in ahead:
            seen.append(i)
            time.sleep(0.05)
        assert seen == sorted(set(seen))
        assert seen[-1] == 29
        assert len(seen) < 30

    def test_errors_arrive_where_items_do(self) -> None:
        def breaking() -> Iterator[int]:
            yield 1
            raise OSError("the cable")

        stream = iter(Ahead(breaking(), name="asam-test"))
        assert next(stream) == 1
        with pytest.raises(OSError, match="cable"):
            next(stream)

    @pytest.mark.parametrize("newest", [False, True])
    def test_whoever_waits_is_woken_when_it_stops(self, newest: bool) -> None:
        def endless() -> Iterator[int]:
            for i in itertools.count():
                time.sleep(0.001)
                yield i

        first = Ahead(endless(), depth=2, newest=newest, name="asam-test")
        second = Ahead(iter(first), depth=1, name="asam-test")
        next(iter(second))
        for stage in (first, second):
            stage.stop()
        for stage in (first, second):
            stage.join()
        assert own_threads() == []


def test_a_folder_of_folders_says_which_one_to_give(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    with pytest.raises(
        ValueError, match=f"came none; give one of its folders, such as {tmp_path / 'frames'}"
    ):
        open_source(tmp_path)


def ends_well(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_a_script_may_end_while_a_thread_is_ahead_in_native_code(engine: Path) -> None:
    ends_well(f"""
import asam_trt, numpy as np
from asam_trt.ahead import Ahead
session = asam_trt.Session({str(engine)!r}, threads=2)
session.set_image(np.zeros((48, 80, 3), np.uint8))
found = (session.sample(box={BOX}, n=200, seed=i) for i in range(200))
next(iter(Ahead(found, name="asam-test")))
""")


def test_what_is_worked_on_is_finished_when_a_script_ends() -> None:
    script = """
import time
from asam_trt.ahead import Behind
behind = Behind(lambda item: (time.sleep(0.3), print(item)), name="asam-test")
behind.put("first")
behind.put("second")
"""
    assert ends_well(script) == "first\n"


def test_interrupts_do_not_part_a_thread_from_what_it_works_on() -> None:
    """Before Python 3.13 join() takes a thread for ended where it is interrupted."""
    script = """
import signal, time
from asam_trt.ahead import Behind

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGALRM, interrupt)
for wait in (0.02, 0.05, 0.11, 0.16):
    open_, seen = True, []

    def work(item):
        time.sleep(0.08)
        seen.append(open_)

    try:
        with Behind(work, name="asam-test") as behind:
            for i in range(4):
                behind.put(i)
            signal.setitimer(signal.ITIMER_REAL, wait, 0.03)
    except KeyboardInterrupt:
        signal.setitimer(signal.ITIMER_REAL, 0)
    open_ = False
    time.sleep(0.2)
    print(all(seen), len(seen) > 0)
"""
    assert ends_well(script) == "True True\n" * 4


class TestSampler:
    def test_every_source_gives_the_same_hypotheses(self, session: asam_trt.Session, folder: Path) -> None:
        results = []
        for source in (folder, list(moving(12)), moving(12)):
            results.append([h.logits for _, h in VideoSampler(session).run(source, box=BOX, n=3, seed=2)])
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])
        assert own_threads() == []

    def test_frames_carry_what_was_done(self, session: asam_trt.Session, clip: Path) -> None:
        for i, (frame, hyp) in enumerate(VideoSampler(session).run(clip, box=BOX, n=4)):
            assert (frame.index, frame.box, frame.confidence, frame.lost, frame.dropped) == (
                i,
                BOX,
                None,
                False,
                0,
            )
            assert len(hyp) == 4
            assert np.asarray(frame).shape == (48, 80, 3)
            assert frame.encode_ms > 0
            assert frame.sample_ms > 0
        assert i == 11

    def test_noise_is_kept_or_redrawn(self, session: asam_trt.Session) -> None:
        still = [next(moving(1))] * 3
        kept = [h.logits for _, h in VideoSampler(session).run(still, box=BOX, n=3)]
        np.testing.assert_array_equal(kept[0], kept[2])
        redrawn = [h.logits for _, h in VideoSampler(session).run(still, box=BOX, n=3, noise="redrawn")]
        for noise in ("kept", "redrawn"):
            run = VideoSampler(session).run(still[:2], box=BOX, n=3, noise=noise, follow=True)
            first, second = (frame.continuity for frame, _ in run)
            assert (first, second is None) == (None, noise == "redrawn")
        np.testing.assert_array_equal(redrawn[0], kept[0])
        assert np.abs(redrawn[1] - redrawn[0]).max() > 1e-3

    def test_frames_are_those_of_single_calls(self, session: asam_trt.Session) -> None:
        for (_, hyp), image in zip(
            VideoSampler(session).run(moving(3), box=BOX, n=2, seed=4), moving(3), strict=True
        ):
            session.set_image(image)
            np.testing.assert_array_equal(hyp.logits, session.sample(box=BOX, n=2, seed=4).logits)

    def test_realtime_takes_a_recording_at_its_times(
        self, session: asam_trt.Session, clip: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paced: list[list[float]] = []
        at_their_times = video._at_their_times

        def watched(frames: Iterator[RawFrame], stopped: threading.Event) -> Iterator[RawFrame]:
            paced.append([])
            for frame in at_their_times(frames, stopped):
                paced[-1].append(time.perf_counter() - start - frame.time)
                yield frame

        monkeypatch.setattr(video, "_at_their_times", watched)
        for source in (clip, folder, list(moving(12)), moving(12)):
            start = time.perf_counter()
            run = VideoSampler(session).run(source, box=BOX, n=1, realtime=True)
            for taken, (frame, _) in enumerate(run):
                assert frame.dropped == frame.index - taken
            assert frame.index == 11
        assert len(paced) == 3  # a generator has its own pace
        assert min(min(late) for late in paced) > -1e-3

    def test_a_run_that_was_not_begun_closes_its_source(self, session: asam_trt.Session, clip: Path) -> None:
        source = open_source(clip)
        with VideoSampler(session).run(source, box=BOX, n=1):
            pass
        with pytest.raises((AssertionError, ValueError)):
            next(source.frames())

    def test_one_image_is_no_video(self, session: asam_trt.Session) -> None:
        for image in (next(moving(1)), next(moving(1))[..., 0]):
            with pytest.raises(ValueError, match=r"one image .*give \[image\]"):
                VideoSampler(session).run(image, box=BOX)

    def test_noise_says_how_many(self, session: asam_trt.Session) -> None:
        eps = np.zeros((5, 2, session.engine.sampler.latent), np.float32)
        for _, hypotheses in VideoSampler(session).run(moving(1), box=BOX, eps=eps):
            assert len(hypotheses) == 5

    def test_a_run_of_one_prompt_has_no_names(self, session: asam_trt.Session) -> None:
        sampler = VideoSampler(session)
        for frame, _ in sampler.run(moving(3), box=BOX, n=1):
            with pytest.raises(ValueError, match="objects="):
                sampler.set_prompt(object="late", box=BOX)
            assert frame.box == BOX

    def test_a_new_prompt_counts_from_the_next_frame(self, session: asam_trt.Session) -> None:
        sampler = VideoSampler(session)
        boxes = []
        for frame, _ in sampler.run(moving(4), box=BOX, n=1):
            boxes.append(frame.box)
            if frame.index == 1:
                sampler.set_prompt(box=(1, 2, 30, 40))
        assert boxes == [BOX, BOX, (1, 2, 30, 40), (1, 2, 30, 40)]

    def test_following_reports_and_moves(self, session: asam_trt.Session) -> None:
        frames = [frame for frame, _ in VideoSampler(session).run(moving(4), box=BOX, n=4, follow=True)]
        assert frames[0].box == BOX
        assert all(0 <= f.confidence <= 1 for f in frames if f.confidence is not None)
        assert all(f.confidence is not None for f in frames)

    def test_points_are_followed_by_the_box_of_what_they_found(self, session: asam_trt.Session) -> None:
        points = {"point_coords": [[20.0, 24.0]], "point_labels": [1]}
        frames = list(VideoSampler(session).run(moving(3), **points, n=4, follow=True))
        (first, found), *others = frames
        session.set_image(first.image)
        np.testing.assert_array_equal(found.logits, session.sample(**points, n=4).logits)
        assert found.consensus().any()
        assert first.box is None
        tight = np.array(mask_box(found.consensus()))
        assert first.confidence is not None
        assert first.confidence >= 0.2
        for frame, hyp in others:
            assert frame.box is not None
            session.set_image(frame.image)
            np.testing.assert_array_equal(hyp.logits, session.sample(box=frame.box, n=4).logits)
        # Moved to the mask of the first frame, with its own room.
        assert np.abs(np.array(others[0][0].box) - tight).max() < 0.06 * 80

    def test_more_questions_about_a_frame(self, session: asam_trt.Session) -> None:
        for frame, hyp in VideoSampler(session).run(moving(2), box=BOX, n=2):
            again = session.sample(box=BOX, n=2, image=frame.encoded)
            np.testing.assert_array_equal(again.logits, hyp.logits)

    def test_the_next_frame_is_encoded_while_one_is_used(
        self, session: asam_trt.Session, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encode = session.encode
        begun = [threading.Event() for _ in range(12)]
        calls = iter(begun)

        def watched(image: Any) -> Any:
            next(calls).set()
            return encode(image)

        monkeypatch.setattr(session, "encode", watched)
        for frame, _ in VideoSampler(session).run(folder, box=BOX, n=1):
            for later in begun[frame.index + 1 : frame.index + 2]:
                assert later.wait(60)

    def test_little_is_encoded_ahead(
        self, session: asam_trt.Session, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        encode, done = session.encode, []

        def counted(image: Any) -> Any:
            done.append(1)
            return encode(image)

        monkeypatch.setattr(session, "encode", counted)
        stream = VideoSampler(session).run(folder, box=BOX, n=1)
        next(stream)
        time.sleep(0.5)
        # The one that was used, one that waits, and one in the hands of the thread.
        assert len(done) <= 3
        stream.close()

    def test_closing_early_ends_the_thread(self, session: asam_trt.Session, clip: Path) -> None:
        stream = VideoSampler(session).run(clip, box=BOX, n=1, read_ahead=1)
        next(stream)
        assert set(own_threads()) <= {"asam-decode", "asam-encode"}
        assert own_threads() != []
        stream.close()
        assert own_threads() == []

    def test_an_error_while_sampling_ends_the_thread(self, session: asam_trt.Session, clip: Path) -> None:
        sampler = VideoSampler(session)
        stream = sampler.run(clip, box=BOX, n=1)
        sampler.set_prompt(box=(900, 900, 999, 999))  # the size of the frames is not known yet
        with pytest.raises(ValueError, match="overlaps"):
            next(stream)
        assert own_threads() == []

    @pytest.mark.parametrize("box", [(900, 900, 999, 999), (np.nan, 0, 1, 1), (5, 5, 5, 5)])
    def test_a_prompt_that_is_none_leaves_the_run_as_it_was(
        self, session: asam_trt.Session, clip: Path, box: tuple[float, ...]
    ) -> None:
        sampler = VideoSampler(session)
        stream = sampler.run(clip, box=BOX, n=1)
        next(stream)
        with pytest.raises(ValueError, match="box"):
            sampler.set_prompt(box=box)
        frame, _ = next(stream)
        assert frame.box == BOX

    def test_memory_is_bounded(self, session: asam_trt.Session) -> None:
        alive: list[weakref.ref[Any]] = []

        def watched() -> Iterator[np.ndarray]:
            for frame in moving(12):
                alive.append(weakref.ref(frame))
                yield frame

        for _ in VideoSampler(session).run(watched(), box=BOX, n=1):
            assert sum(ref() is not None for ref in alive) <= 4

    def test_a_change_of_size_is_said(self, session: asam_trt.Session) -> None:
        frames = [*moving(2), *moving(1, 40, 40)]
        stream = VideoSampler(session).run(frames, box=BOX, n=1)
        assert [next(stream)[0].index, next(stream)[0].index] == [0, 1]
        with pytest.raises(ValueError, match="at frame 2"):
            next(stream)

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"n": 0}, ValueError),
            ({"seed": -1}, ValueError),
            ({"noise": "some"}, ValueError),
            ({"follow": True, "box": None}, ValueError),
            ({"read_ahead": 0}, ValueError),
        ],
    )
    def test_wrong_arguments_are_refused_at_once(
        self, session: asam_trt.Session, arguments: dict[str, Any], error: type[Exception]
    ) -> None:
        with pytest.raises(error, match="expected"):
            VideoSampler(session).run(moving(2), **{"box": BOX, **arguments})
        with pytest.raises(ValueError, match="no such file"):
            VideoSampler(session).run("nowhere.mp4", box=BOX)


class TestSeveralObjects:
    OBJECTS: ClassVar[dict[Any, dict[str, Any]]] = {
        "left": {"box": BOX},
        7: {"point_coords": [[40.0, 20.0]], "point_labels": [1]},
    }

    def test_each_is_answered_as_if_alone(self, session: asam_trt.Session, folder: Path) -> None:
        sampler = VideoSampler(session)
        both = list(sampler.run(folder, objects=self.OBJECTS, n=3, seed=5, follow=True))
        for name, prompt in self.OBJECTS.items():
            alone = list(sampler.run(folder, **prompt, n=3, seed=5, follow=True))
            for (frame, found), (own_frame, own) in zip(both, alone, strict=True):
                np.testing.assert_array_equal(found[name].logits, own.logits)
                assert frame.tracks[name] == own_frame.tracks[0]
        assert len({id(hyp) for hyp in found.values()}) == 2
        with pytest.raises(ValueError, match=r"came 2: see tracks"):
            _ = both[0][0].box

    def test_they_come_and_go(self, session: asam_trt.Session) -> None:
        sampler = VideoSampler(session)
        seen = []
        for frame, found in sampler.run(moving(4), objects={"a": {"box": BOX}}, n=1):
            seen.append(sorted(found))
            assert list(frame.tracks) == list(found)
            if frame.index == 0:
                sampler.set_prompt(object="b", box=(1, 2, 30, 40))
            if frame.index == 1:
                sampler.remove("a")
            if frame.index == 2:
                sampler.set_prompt(object="b", box=BOX)
                for name, words in (("a", "one of the objects"), ("b", "to keep an object")):
                    with pytest.raises(ValueError, match=words):
                        sampler.remove(name)
        assert seen == [["a"], ["a", "b"], ["b"], ["b"]]
        assert frame.box == BOX
        for late in (lambda: sampler.remove("b"), lambda: sampler.set_prompt(object="b", box=BOX)):
            with pytest.raises(RuntimeError, match="after its end"):
                late()

    @pytest.mark.parametrize(
        ("arguments", "error", "words"),
        [
            ({"objects": {}}, ValueError, "at least one object"),
            ({"objects": [BOX]}, TypeError, "mapping"),
            ({"objects": {1: BOX}}, TypeError, r"objects\[1\] to be a dict"),
            ({"objects": {1: {"boxes": BOX}}}, ValueError, "came 'boxes'"),
            ({"objects": {1: {"box": BOX}}, "box": BOX}, ValueError, "came both"),
            ({"objects": {1: {"box": BOX}, 2: {}}, "follow": True}, ValueError, "to follow"),
            ({"box": (1, 2, 3), "follow": True}, ValueError, "box = "),
        ],
    )
    def test_wrong_objects_are_refused(
        self, session: asam_trt.Session, arguments: dict[str, Any], error: type[Exception], words: str
    ) -> None:
        with pytest.raises(error, match=words):
            VideoSampler(session).run(moving(2), **arguments)


class TestWriter:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
    def test_frames_keep_their_times(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"uneven{suffix}"
        times = [0.0, 0.04, 0.08, 0.5, 0.52, 1.0, 3.0]
        with VideoWriter(path, 25) as writer:
            for frame, seconds in zip(moving(7), times, strict=True):
                writer.add(frame, seconds)
            writer.add(frame, 1.0)  # time does not run backwards
            writer.add(frame)
        found = [frame.time for frame in open_source(path).frames()]
        np.testing.assert_allclose(found, [*times, 3.0, 3.04], atol=2e-3)
        with av.open(str(path)) as container:
            assert float(container.duration / av.time_base) == pytest.approx(3.08, abs=0.05)

    @pytest.mark.parametrize("size", [(48, 80), (49, 81)])
    def test_frames_come_back(self, tmp_path: Path, size: tuple[int, int]) -> None:
        path = write_video(tmp_path / "a" / "clip.mp4", moving(8, *size), fps=29.97)
        found = frames_of(path)
        assert len(found) == 8
        for a, b in zip(found, moving(8, *size), strict=True):
            assert np.abs(a[: size[0], : size[1]].astype(int) - b).mean() < 4
        assert [p.name for p in path.parent.iterdir()] == ["clip.mp4"]

    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_what_came_before_an_error_is_playable(self, tmp_path: Path, error: type[BaseException]) -> None:
        def breaking() -> Iterator[np.ndarray]:
            yield from moving(5)
            raise error

        with pytest.raises(error):
            write_video(tmp_path / "clip.mp4", breaking())
        assert len(frames_of(tmp_path / "clip.mp4")) == 5

    @pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
    def test_a_killed_writer_leaves_a_playable_part(self, tmp_path: Path, suffix: str) -> None:
        script = f"""
import numpy as np, os, signal
from asam_trt.video import VideoWriter
writer = VideoWriter({str(tmp_path / "clip") + suffix!r}, 10)
for i in range(30):
    image = np.zeros((96, 128, 3), np.uint8)
    image[20:60, i : i + 40] = 255
    writer.add(image)
os.kill(os.getpid(), signal.SIGKILL)
"""
        done = subprocess.run([sys.executable, "-c", script], check=False)
        assert done.returncode == -signal.SIGKILL
        (part,) = tmp_path.iterdir()
        assert playable_frames(part) >= 20

    def test_there_are_no_frames_after_the_end(self, tmp_path: Path) -> None:
        writer = VideoWriter(tmp_path / "clip.mp4", 10)
        writer.add(next(moving(1)))
        assert not writer.kept
        assert writer.close() == writer.close() == tmp_path / "clip.mp4"
        assert writer.kept
        with pytest.raises(ValueError, match="expected no frame after close"):
            writer.add(next(moving(1)))
        assert sorted(tmp_path.iterdir()) == [tmp_path / "clip.mp4"]

    def test_a_name_with_a_colon_is_a_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        path = write_video("w:x.mp4", moving(3))
        assert len(frames_of(tmp_path / path)) == 3
        source = open_source("w:x.mp4")
        assert sum(1 for _ in source.frames()) == 3
        source.close()

    def test_a_disk_too_full_for_a_frame_keeps_the_file_before(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "clip.mp4", moving(5))
        before = path.read_bytes()
        script = f"""
import resource
from asam_trt.video import VideoWriter
from PIL import Image
import numpy as np
resource.setrlimit(resource.RLIMIT_FSIZE, (1024, 1024))
noise = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
writer = VideoWriter({str(path)!r}, 10)
try:
    with writer:
        for _ in range(60):
            writer.add(noise)
except OSError as error:
    print(error, writer.kept)
"""
        said = subprocess.run(
            [sys.executable, "-c", "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)" + script],
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "False" in said.stdout, said.stderr
        assert path.read_bytes() == before
        assert sorted(tmp_path.iterdir()) == [path]

    def test_a_full_disk_keeps_what_was_written(self, tmp_path: Path) -> None:
        # A limit on the size of a file stands for the end of the disk.
        script = f"""
import numpy as np, resource, signal
from asam_trt.video import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, 3_000_000))
try:
    with VideoWriter({str(tmp_path / "clip.mp4")!r}, 10) as writer:
        for i in range(1000):
            writer.add(np.random.default_rng(i).integers(0, 255, (96, 128, 3), dtype=np.uint8))
except OSError as error:
    print("refused", writer.frames)
"""
        done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
        assert done.stdout.startswith("refused"), done.stderr
        assert [p.name for p in tmp_path.iterdir()] == ["clip.mp4"]
        assert playable_frames(tmp_path / "clip.mp4") >= 50

    def test_wrong_arguments(self, tmp_path: Path) -> None:
        for path, fps in (("a.avi", 10), ("a.mp4", 0), ("a.mp4", float("nan"))):
            with pytest.raises(ValueError, match="expected"):
                VideoWriter(tmp_path / path, fps)
        with pytest.raises(ValueError, match="at least one frame"):
            write_video(tmp_path / "a.mp4", [])
        with pytest.raises(ValueError, match="as the first"):
            write_video(tmp_path / "a.mp4", [*moving(1), *moving(1, 40, 40)])
        assert len(frames_of(tmp_path / "a.mp4")) == 1


def test_an_interrupt_leaves_a_finished_video_and_no_process(engine: Path, tmp_path: Path) -> None:
    source = tmp_path / "frames"
    source.mkdir()
    for i, frame in enumerate(moving(30)):
        Image.fromarray(frame).save(source / f"{i}.png")
    out = tmp_path / "out"
    script = (
        "import itertools, time; from asam_trt import sources; real = sources._Folder.frames\n"
        # An endless folder that takes its time, so that the interrupt comes in the middle.
        "def slow(self):\n"
        "    for frame in itertools.cycle(real(self)):\n"
        "        time.sleep(0.02); yield frame\n"
        "sources._Folder.frames = slow\n"
        "from asam.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
    )
    words = ["video", str(source), "--engine", str(engine), "--box", "10", "8", "60", "45", "--n", "2"]
    process = subprocess.Popen(
        [sys.executable, "-c", script, *words, "--output", str(out)], stdout=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not list(out.glob(".overlay*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert sorted(p.name for p in out.iterdir()) == ["areas.csv", "areas.png", "overlay.mp4"]
    rows = (out / "areas.csv").read_text().splitlines()
    assert 0 <= len(rows) - 1 - len(frames_of(out / "overlay.mp4")) <= 1
    assert len(rows) > 1
    assert "overlay.mp4" in text
