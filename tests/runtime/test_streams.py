"""`VideoSampler` on live streams of servers in this process."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from live_streams import LiveStream

import asam_trt
from asam_trt import sources
from asam_trt.video import VideoSampler

pytestmark = pytest.mark.parametrize("scheme", ["http", "rtsp"])

BOX = (10.0, 8.0, 60.0, 45.0)
_MAIN = "from asam.cli import main; import sys; sys.exit(main(sys.argv[1:]))"
PERIOD = 40  # pictures before the brightness comes again


def pictures(count: int = PERIOD, h: int = 48, w: int = 80) -> list[np.ndarray]:
    """Noise around a brightness that tells the index."""
    rng = np.random.default_rng(0)
    return [(20 + 5 * i + rng.integers(0, 9, (h, w, 3))).astype(np.uint8) for i in range(count)]


def shown(image: np.ndarray) -> int:
    return round((float(image.mean()) - 24) / 5)


def own_threads() -> list[str]:
    return [t.name for t in threading.enumerate() if t.name.startswith("asam-")]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "_STREAM_TIMEOUT", (10.0, 1.0))


def wait_until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def rows(path: Path) -> int:
    return len(path.read_text().splitlines()) - 1


def until(stream: Iterator[Any], index: int) -> None:
    """Take frames up to one."""
    while next(stream)[0].index < index:
        pass


def test_every_frame_comes_while_the_stream_goes_on(session: asam_trt.Session, scheme: str) -> None:
    # So slow that a busy machine keeps up.
    with LiveStream(scheme, pictures(), fps=20) as live:
        behind = []
        for frame, _ in VideoSampler(session).run(live.url, box=BOX, n=1):
            assert shown(np.asarray(frame)) == frame.index % PERIOD
            assert frame.time == pytest.approx(frame.index / live.fps, abs=1.05 / live.fps)
            behind.append(live.sent - frame.index)
            if frame.index == 80:
                live.finish()
        # An end that was announced is none of the errors.
        assert frame.index == live.sent - 1
    assert not live.over_udp  # which loses parts of frames
    # What the probing of the stream took has been caught up with by then.
    assert np.percentile(behind[50:80], 25) <= 3
    wait_until(lambda: own_threads() == [])


def test_a_lost_connection_comes_after_the_frames_before_it(session: asam_trt.Session, scheme: str) -> None:
    indices = []

    def read(url: str) -> None:
        for frame, _ in VideoSampler(session).run(url, box=BOX, n=1):
            indices.append(frame.index)

    with LiveStream(scheme, pictures(), last=60, ending="drop") as live:
        if scheme == "http":
            with pytest.raises(ValueError, match=r"breaks off after \d+ frames"):
                read(live.url)
        else:  # FFmpeg's RTSP client calls it an end
            read(live.url)
    # What lay unread in the socket goes with the connection.
    assert indices == list(range(len(indices)))
    assert len(indices) > 30
    wait_until(lambda: own_threads() == [])


@pytest.mark.usefixtures("impatient")
def test_silence_is_an_error_in_the_end(session: asam_trt.Session, scheme: str) -> None:
    with LiveStream(scheme, pictures(), last=60, ending="stall") as live:
        stream = VideoSampler(session).run(live.url, box=BOX, n=1)
        until(stream, 59)
        with pytest.raises(ValueError, match="breaks off after 60 frames: no data within 1 s"):
            next(stream)


def test_closing_does_not_wait_for_a_silent_server(session: asam_trt.Session, scheme: str) -> None:
    with LiveStream(scheme, pictures(), last=60, ending="stall") as live:
        stream = VideoSampler(session).run(live.url, box=BOX, n=1)
        until(stream, 55)
        wait_until(lambda: live.sent == 60)
        time.sleep(0.1)
        start = time.monotonic()
        stream.close()
        assert time.monotonic() - start < 1.9  # the time limit is 10
    wait_until(lambda: own_threads() == [])  # its connection has ended with the server


def test_closing_in_the_middle_ends_the_threads(session: asam_trt.Session, scheme: str) -> None:
    with LiveStream(scheme, pictures()) as live:
        for realtime in (False, True):
            stream = VideoSampler(session).run(live.url, box=BOX, n=1, realtime=realtime)
            next(stream)
            stream.close()
            wait_until(lambda: own_threads() == [])


def test_a_slow_consumer_gets_the_newest_frames(session: asam_trt.Session, scheme: str) -> None:
    with LiveStream(scheme, pictures()) as live:
        behind = []
        frames = VideoSampler(session).run(live.url, box=BOX, n=1, realtime=True)
        for taken, (frame, _) in enumerate(itertools.islice(frames, 12)):
            behind.append(live.sent - frame.index)
            assert shown(np.asarray(frame)) == frame.index % PERIOD
            # What came before was taken, or dropped and counted; others may have been dropped since.
            assert frame.index - taken <= frame.dropped <= live.sent
            # As slow as ten frames, however fast they are served beside other work.
            wait_until(lambda due=live.sent + 10: live.sent >= due)
        assert frame.dropped > 60
        # A queue would be longer by ten each time. Other work may hold the decoder up now and then.
        assert np.percentile(behind[2:], 25) <= 15
        frames.close()  # type: ignore[attr-defined]


def test_a_frame_that_cannot_be_decoded_is_left_out(session: asam_trt.Session, scheme: str) -> None:
    with (
        LiveStream(scheme, pictures(), stubs=[33], last=60) as live,
        pytest.warns(RuntimeWarning, match=r"live: [12] frames could not be decoded"),
    ):
        frames = [frame for frame, _ in VideoSampler(session).run(live.url, box=BOX, n=1)]
    numbers = [shown(np.asarray(frame)) for frame in frames]
    assert numbers[:33] == list(range(33))
    assert numbers[-20:] == list(range(20))  # from the next key frame on


def test_frames_that_cannot_be_decoded_are_not_waited_out_for_ever(
    session: asam_trt.Session, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_MOST_UNDECODABLE", 9)
    with LiveStream(scheme, pictures(), stubs=range(33, 1000)) as live:
        stream = VideoSampler(session).run(live.url, box=BOX, n=1)
        until(stream, 32)
        with pytest.raises(ValueError, match=r"breaks off after 3\d frames"):
            until(stream, 1000)


def test_a_stream_is_joined_at_its_next_key_frame(session: asam_trt.Session, scheme: str) -> None:
    with LiveStream(scheme, pictures(), joined=5) as live:
        frame, _ = next(VideoSampler(session).run(live.url, box=BOX, n=1))
        assert (frame.index, frame.time, shown(np.asarray(frame))) == (0, 0, 10)


def test_a_change_of_size_is_said_after_all_frames_before_it(session: asam_trt.Session, scheme: str) -> None:
    with LiveStream(scheme, pictures() + pictures(h=64, w=64)) as live:
        stream = VideoSampler(session).run(live.url, box=BOX, n=1)
        until(stream, PERIOD - 1)
        with pytest.raises(ValueError, match=rf"frames of .* came .* at frame {PERIOD}; start again"):
            next(stream)
    wait_until(lambda: own_threads() == [])


def test_an_interrupt_in_a_silence_keeps_what_came(engine: Path, tmp_path: Path, scheme: str) -> None:
    with LiveStream(scheme, pictures(), last=60, ending="stall") as live:
        words = ["video", live.url, "--engine", str(engine), "--box", "10", "8", "60", "45", "--n", "2"]
        process = subprocess.Popen(
            [sys.executable, "-c", _MAIN, *words, "--output", str(tmp_path)],
            stdout=subprocess.PIPE,
            text=True,
        )
        # The parser holds some back.
        wait_until(lambda: sum(rows(path) for path in tmp_path.glob(".areas.csv*")) >= 57, 120)
        start = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        text, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - start < 5
    assert "overlay.mp4" in text
    assert sorted(p.name for p in tmp_path.iterdir()) == ["areas.csv", "areas.png", "overlay.mp4"]
    assert rows(tmp_path / "areas.csv") >= 57
