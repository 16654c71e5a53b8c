"""A camera index, in processes to which emulated_camera.c gives a camera: FFmpeg's demuxer asks it as any device."""

from __future__ import annotations

import csv
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest

FPS, PERIOD = 25, 60  # pictures before they come again
_VIDEO = [
    sys.executable,
    "-c",
    "from asam.cli import main; import sys; sys.exit(main(sys.argv[1:]))",
    "video",
]
_BOX = ["--box", "20", "90", "150", "150", "--n", "2"]
_TAKE = """
import itertools, sys, time
import numpy as np
import asam_trt
from asam_trt.video import VideoSampler

engine, output, count, pause = sys.argv[1:5]
images, log = [], []
with asam_trt.Session(engine) as session:
    frames = VideoSampler(session).run(0, box=(20, 90, 150, 150), n=1, realtime=float(pause) > 0)
    for frame, _ in itertools.islice(frames, int(count)):
        images.append(np.asarray(frame))
        log.append((frame.index, frame.time, frame.dropped, time.monotonic()))
        time.sleep(float(pause))
    frames.close()
np.savez(output, images=images, log=log)
"""


@pytest.fixture(scope="session")
def camera(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment of a process that has a camera."""
    if sys.platform != "linux" or platform.machine() != "x86_64" or platform.libc_ver()[0] != "glibc":
        pytest.skip("the emulated camera is for Linux on x86-64 with glibc")
    if not any("v4l2" in name for name in av.formats_available):
        pytest.skip("this PyAV has no V4L2")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler for the emulated camera")
    library = tmp_path_factory.mktemp("camera") / "emulated_camera.so"
    source = Path(__file__).with_name("emulated_camera.c")
    subprocess.run([compiler, "-O2", "-shared", "-fPIC", "-pthread", "-o", library, source], check=True)
    # What is freed is overwritten, so that its use is a crash.
    return {**os.environ, "LD_PRELOAD": str(library), "MALLOC_PERTURB_": "165"}


def run(words: list[str], environment: dict[str, str], status: int = 0) -> str:
    """What a process said as errors."""
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == status, done.stderr
    assert "emulated camera:" not in done.stderr
    return done.stderr


def picture(number: int) -> np.ndarray:
    y, x = np.mgrid[:240, :320]
    grey = (40 + x // 2 - 16) * 255 / 219
    disc = (x - 40 - 4 * number) ** 2 + (y - 120) ** 2 < 24**2
    return np.where(disc[..., None], (255, 255, 0), grey[..., None])


def shown(image: np.ndarray) -> int:
    """Number of a picture, by its disc."""
    _, x = np.nonzero((image[..., 0] > 200) & (image[..., 2] < 60))
    return round((x.mean() - 40) / 4)


def take(
    engine: Path, output: Path, camera: dict[str, str], *, count: int, pause: float = 0
) -> tuple[np.ndarray, ...]:
    """Images, indices, times, dropped frames so far, and when each frame came, of a consumer that pauses."""
    run([sys.executable, "-c", _TAKE, str(engine), str(output), str(count), str(pause)], camera)
    with np.load(output) as found:
        return found["images"], *found["log"].T


def areas(folder: Path) -> list[dict[str, str]]:
    """Rows of a run whose video has as many frames."""
    assert sorted(p.name for p in folder.iterdir()) == ["areas.csv", "areas.png", "overlay.mp4"]
    with (folder / "areas.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    with av.open(str(folder / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == len(rows)
    assert [int(row["frame"]) for row in rows] == list(range(len(rows)))
    return rows


def test_every_frame_comes_while_the_camera_goes_on(
    engine: Path, tmp_path: Path, camera: dict[str, str]
) -> None:
    images, indices, times, dropped, came = take(engine, tmp_path / "found.npz", camera, count=40)
    assert images.shape == (40, 240, 320, 3)
    first = shown(images[0])
    for i, image in enumerate(images):
        wrong = np.abs(image - picture((first + i) % PERIOD)).max(axis=-1) > 5
        assert wrong.mean() < 0.005  # at the edge of the disc, where two pixels share a colour
    np.testing.assert_array_equal(indices, np.arange(40))
    np.testing.assert_allclose(times, np.arange(40) / FPS, atol=0.01)
    assert not dropped.any()
    behind = came - times
    assert np.percentile(behind[10:] - behind.min(), 25) <= 3 / FPS


def test_a_slow_consumer_gets_the_newest_frames(engine: Path, tmp_path: Path, camera: dict[str, str]) -> None:
    images, indices, times, dropped, came = take(engine, tmp_path / "found.npz", camera, count=12, pause=0.2)
    numbers = [shown(image) for image in images]
    np.testing.assert_array_equal((numbers - indices) % PERIOD, numbers[0] - indices[0])
    np.testing.assert_allclose(times, indices / FPS, atol=0.01)
    assert (np.diff(indices) > 0).all()
    # What came before was taken, or dropped and counted; others may have been dropped since.
    assert (indices - np.arange(12) <= dropped).all()
    assert dropped[-1] > 30
    behind = came - times
    assert (behind[2:] - behind.min()).max() <= 0.3


def test_video_takes_a_camera(engine: Path, tmp_path: Path, camera: dict[str, str]) -> None:
    out = tmp_path / "out"
    run([*_VIDEO, "0", "--engine", str(engine), *_BOX, "--frames", "5", "--output", str(out)], camera)
    times = [float(row["time_s"]) for row in areas(out)]
    np.testing.assert_allclose(times, np.arange(5) / FPS, atol=0.01)


def test_a_camera_that_is_pulled_out_leaves_what_was_done(
    engine: Path, tmp_path: Path, camera: dict[str, str]
) -> None:
    pulled = {**camera, "EMULATED_CAMERA": "3", "EMULATED_CAMERA_LAST": "30"}
    out = tmp_path / "out"
    error = run([*_VIDEO, "3", "--engine", str(engine), *_BOX, "--output", str(out)], pulled, status=2)
    line = error.strip().splitlines()[-1]
    found = re.fullmatch(
        r"asam video: error: /dev/video3: the video breaks off after (\d+) frames: .*No such device.*", line
    )
    assert found, error
    assert len(areas(out)) == int(found[1]) >= 28  # FFmpeg looks at the first to see what the camera gives


def test_a_camera_that_falls_silent_leaves_what_was_done(
    engine: Path, tmp_path: Path, camera: dict[str, str]
) -> None:
    out = tmp_path / "out"
    silent = {**camera, "EMULATED_CAMERA_SILENT": "20"}
    error = run([*_VIDEO, "0", "--engine", str(engine), *_BOX, "--output", str(out)], silent, status=2)
    line = error.strip().splitlines()[-1]
    found = re.fullmatch(
        r".*: /dev/video0: the video breaks off after (\d+) frames: no data within 10 s .*", line
    )
    assert found, error
    assert len(areas(out)) == int(found[1]) >= 18


def test_a_camera_is_closed_before_its_first_frame(tmp_path: Path, camera: dict[str, str]) -> None:
    nowhere = str(tmp_path / "nowhere.asam")
    assert "nowhere.asam" in run([*_VIDEO, "0", "--engine", nowhere, *_BOX], camera, status=2)


def test_an_interrupt_leaves_finished_files(engine: Path, tmp_path: Path, camera: dict[str, str]) -> None:
    out = tmp_path / "out"
    words = [*_VIDEO, "0", "--engine", str(engine), *_BOX, "--output", str(out)]
    process = subprocess.Popen(
        words, env=camera, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    end = time.monotonic() + 60
    while not any(p.read_text().count("\n") > 20 for p in out.glob(".areas.csv*")):
        assert time.monotonic() < end
        time.sleep(0.02)
    start = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130
    assert time.monotonic() - start < 5
    assert "emulated camera:" not in error
    assert len(areas(out)) >= 20
