"""asam build, sample and video as they are typed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from asam.assets import NANO
from asam.cli import main
from asam_trt.sources import open_source
from asam_trt.video import VideoWriter

BOX = ["--box", "10", "8", "60", "45"]


@pytest.fixture
def photo(tmp_path: Path, image: np.ndarray) -> Path:
    path = tmp_path / "photo.png"
    Image.fromarray(image).save(path)
    return path


def test_build_prints_the_folder(checkpoint: Path, engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", str(checkpoint), "--output", str(engine)]) == 0
    assert capsys.readouterr().out.strip() == str(engine)


def test_build_knows_the_network_that_ships(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["build", "nano"]) == 0
    assert capsys.readouterr().out.strip() == "nano.asam"
    source = json.loads((tmp_path / "nano.asam" / "manifest.json").read_text())["source"]
    assert source["name"] == NANO.name


def test_sample_writes_pictures_masks_and_a_page(
    engine: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["sample", str(photo), "--engine", str(engine), *BOX, "--n", "5", "--output", str(out)]
    assert main(words) == 0
    text = capsys.readouterr().out
    names = ["entropy.png", "hypotheses.npz", "index.html", "modes.png", "overlay.png", "sheet.png"]
    assert sorted(p.name for p in out.iterdir()) == names
    for name in names:
        assert str(out / name) in text
        if name.endswith(".png"):
            with Image.open(out / name) as picture:
                picture.verify()
            assert f'src="{name}"' in (out / "index.html").read_text()
    with np.load(out / "hypotheses.npz") as found:
        assert len(found["logits"]) == 5


def test_no_call_replaces_the_results_of_another(
    engine: Path, photo: Path, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "outputs" / "sample" / "photo-2").mkdir(parents=True)
    for command, source, name in (("sample", photo, "photo"), ("video", still, "frames")):
        words = [command, str(source), "--engine", str(engine), "--n", "2"]
        folder = tmp_path / "outputs" / command
        assert main([*words, *BOX]) == 0
        before = {p.name: p.read_bytes() for p in (folder / name).iterdir()}
        assert main([*words, "--box", "5", "5", "30", "30"]) == 0
        assert {p.name: p.read_bytes() for p in (folder / name).iterdir()} == before
        assert sorted(p.name for p in folder.iterdir()) == [name, f"{name}-2"]
        assert {p.name for p in (folder / f"{name}-2").iterdir()} == set(before)


def test_sample_takes_points(engine: Path, photo: Path, tmp_path: Path) -> None:
    words = ["sample", str(photo), "--engine", str(engine), "--points", "20", "30", "70", "10"]
    out = tmp_path / "out"
    assert main([*words, "--labels", "1", "0", "--n", "2", "--latents", "sobol", "--output", str(out)]) == 0


def test_video_writes_overlay_table_and_plot(engine: Path, tmp_path: Path, image: np.ndarray) -> None:
    source, out = tmp_path / "frames", tmp_path / "out"
    source.mkdir()
    for i in range(6):
        Image.fromarray(np.roll(image, i, axis=1)).save(source / f"{i}.png")
    words = ["video", str(source), "--engine", str(engine), *BOX, "--n", "4", "--frames", "5", "--follow"]
    assert main([*words, "--output", str(out)]) == 0
    assert sorted(p.name for p in out.iterdir()) == ["areas.csv", "areas.png", "overlay.mp4"]
    with (out / "areas.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [int(row["frame"]) for row in rows] == list(range(5))
    for row in rows:
        assert float(row["area_low"]) <= float(row["area_median"]) <= float(row["area_high"])
        assert 0 <= float(row["confidence"]) <= 1
    with av.open(str(out / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5


@pytest.mark.parametrize(
    "words", [["sample", "nowhere.png"], ["video", "nowhere.mp4"], ["build", "nowhere.st"]]
)
def test_mistakes_take_one_line(words: list[str], engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if words[0] != "build":
        words = [*words, "--engine", str(engine), *BOX]
    assert main(words) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "nowhere" in error
    assert error.startswith(f"asam {words[0]}: error: ")


def test_a_missing_engine_is_named(photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sample", str(photo), "--engine", str(tmp_path / "no.asam"), *BOX]) == 2
    assert "no.asam" in capsys.readouterr().err


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line of an error."""
    assert main(words) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith(f"asam {words[0]}: error: ")
    return line


@pytest.mark.parametrize("values", [np.uint16, np.int32, np.float32])
def test_sample_refuses_images_beyond_eight_bits(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], values: type
) -> None:
    path = tmp_path / "scan.tif"
    Image.fromarray((np.arange(48 * 80).reshape(48, 80) * 10).astype(values)).save(path)
    words = ["sample", str(path), "--engine", str(engine), *BOX, "--output", str(tmp_path / "out")]
    assert "scan.tif: expected an 8-bit PIL image" in refused(words, capsys)
    assert not (tmp_path / "out").exists()


def test_a_window_shows_images_beyond_eight_bits(engine: Path, tmp_path: Path, image: np.ndarray) -> None:
    frames = tmp_path / "scans"
    frames.mkdir()
    Image.fromarray(image[:, :, 0].astype(np.uint16) * 100 + 500).save(frames / "0.png")
    window = ["--window", "500", "26000"]
    for command, source in (("sample", frames / "0.png"), ("video", frames)):
        words = [command, str(source), "--engine", str(engine), *BOX, "--n", "4", *window]
        assert main([*words, "--output", str(tmp_path / command)]) == 0
    Image.fromarray(image[:, :, 0]).save(tmp_path / "grey.png")
    words = ["sample", str(tmp_path / "grey.png"), "--engine", str(engine), *BOX, "--n", "4"]
    assert main([*words, "--output", str(tmp_path / "grey")]) == 0
    with (
        np.load(tmp_path / "sample" / "hypotheses.npz") as deep,
        np.load(tmp_path / "grey" / "hypotheses.npz") as grey,
    ):
        np.testing.assert_allclose(deep["logits"], grey["logits"], atol=2e-2)


def test_sample_names_an_image_that_was_cut(
    engine: Path, photo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo.write_bytes(photo.read_bytes()[:900])
    assert "photo.png" in refused(["sample", str(photo), "--engine", str(engine), *BOX], capsys)


@pytest.fixture(params=["sample", "video"])
def question(request: pytest.FixtureRequest, engine: Path, photo: Path, still: Path) -> list[str]:
    """The first words of a command that asks about a box."""
    source = {"sample": photo, "video": still}[request.param]
    return [request.param, str(source), "--engine", str(engine), *BOX]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--labels", "1", "0"], "--labels with --points, one a point, came 2 labels of 0 points"),
        (["--points", "20", "30", "--labels", "1", "0"], "one a point, came 2 labels of 1 point"),
        (["--points", "20", "30", "--labels", "2"], "--labels of 1 (object) or 0 (background), came [2]"),
        (["--n", "65536"], "--n from 1 to 8192"),
        (["--n", "0"], "--n from 1 to 8192"),
        (["--n", "4", "--modes", "99"], "--modes from 1 to --n 4"),
        (["--modes", "0"], "--modes from 1 to --n 32"),
    ],
)
def test_what_cannot_be_answered_is_refused_before_sampling(
    question: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    words: str,
) -> None:
    monkeypatch.setattr("asam_trt.Session.__init__", lambda *_, **__: pytest.fail("too late"))
    assert words in refused([*question, *options], capsys)


def test_a_temperature_below_zero_is_refused(
    question: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main([*question, "--temperature", "-1", "--output", str(out)]) == 2
    assert "expected a temperature >= 0, came -1" in capsys.readouterr().err
    assert not out.exists()


def test_sample_looks_at_the_output_first(
    engine: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "taken" / "sheet.png").mkdir(parents=True)
    words = ["sample", str(photo), "--engine", str(engine), *BOX, "--output"]
    assert "is a file" in refused([*words, str(photo)], capsys)
    assert "is a file" in refused([*words, str(photo / "deeper")], capsys)
    assert "sheet.png" in refused([*words, str(tmp_path / "taken")], capsys)
    assert [p.name for p in (tmp_path / "taken").iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    "error", [MemoryError(), Image.DecompressionBombError("bomb"), av.error.ExternalError(1, "x")]
)
def test_errors_of_libraries_take_one_line(
    engine: Path,
    photo: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    def raising(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("asam_trt.Session.set_image", raising)
    refused(["sample", str(photo), "--engine", str(engine), *BOX], capsys)


@pytest.fixture
def still(tmp_path: Path, image: np.ndarray) -> Path:
    """A folder of three equal frames."""
    path = tmp_path / "frames"
    path.mkdir()
    for i in range(3):
        Image.fromarray(image).save(path / f"{i}.png")
    return path


@pytest.mark.parametrize("frames", ["0", "-1"])
def test_video_wants_a_frame(
    engine: Path, still: Path, capsys: pytest.CaptureFixture[str], frames: str
) -> None:
    words = ["video", str(still), "--engine", str(engine), *BOX, "--frames", frames]
    assert "--frames of at least 1" in refused(words, capsys)


def test_a_failed_video_run_keeps_earlier_results(
    engine: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["video", str(still), "--engine", str(engine), "--n", "2", "--output", str(out)]
    assert main([*words, *BOX]) == 0
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert len(before) == 3
    assert main([*words, "--box", "900", "900", "999", "999"]) == 2
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_a_failed_video_run_leaves_no_empty_folder(
    engine: Path,
    still: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["video", str(still), "--engine", str(engine), "--box", "900", "900", "990", "990"]) == 2
    assert "overlap" in capsys.readouterr().err
    assert not list((tmp_path / "outputs" / "video").iterdir())


def test_video_looks_at_the_output_first(
    engine: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "overlay.mp4").mkdir(parents=True)
    words = ["video", str(still), "--engine", str(engine), *BOX, "--output", str(tmp_path / "out")]
    assert "overlay.mp4" in refused(words, capsys)
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["overlay.mp4"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_is_obeyed_with_many_hypotheses(
    engine: Path, still: Path, tmp_path: Path, number: signal.Signals
) -> None:
    out = tmp_path / "out"
    words = ["video", str(still), "--engine", str(engine), *BOX, "--n", "8192", "--output", str(out)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from asam.cli import main; import sys; sys.exit(main(sys.argv[1:]))", *words],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while not list(out.glob(".areas*")) and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)
    os.kill(process.pid, number)
    start = time.monotonic()
    process.communicate(timeout=60)
    assert time.monotonic() - start < 20
    assert process.returncode == 130
    assert list(out.iterdir()) == []


def test_results_do_not_replace_what_is_read(
    engine: Path, photo: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    overlay = photo.rename(tmp_path / "overlay.png")
    before = overlay.read_bytes()
    for words in (
        ["sample", str(overlay), "--output", str(tmp_path)],
        ["sample", str(overlay), "--output", str(engine)],
        ["video", str(still), "--output", str(still / "results" if still.is_dir() else still.parent)],
    ):
        assert "apart from what is read" in refused([*words, "--engine", str(engine), *BOX], capsys)
    assert overlay.read_bytes() == before


def test_a_forgotten_prompt_is_told(
    engine: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["sample", str(photo), "--engine", str(engine), "--n", "2", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    assert "no --box and no --points: asking about the whole image" in capsys.readouterr().err


def test_video_follows_several_objects(engine: Path, still: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["video", str(still), "--engine", str(engine), "--boxes", *BOX[1:], "30", "5", "75", "40"]
    assert main([*words, "--n", "3", "--latents", "sobol", "--follow", "--output", str(out)]) == 0
    with (out / "areas.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["frame"], row["object"]) for row in rows] == [(str(f), o) for f in range(3) for o in "12"]
    with Image.open(out / "areas.png") as plot:
        assert plot.height == 2 * 320
    with av.open(str(out / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_a_folder_may_have_a_number_for_a_name(
    engine: Path, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    still.rename(tmp_path / "2024")
    assert main(["video", "2024", "--engine", str(engine), *BOX, "--n", "2", "--frames", "2"]) == 0
    assert (tmp_path / "outputs" / "video" / "2024" / "overlay.mp4").is_file()


def test_the_overlay_keeps_the_times_of_the_frames(engine: Path, tmp_path: Path, image: np.ndarray) -> None:
    times = [0.0, 0.04, 0.5, 0.54]
    with VideoWriter(tmp_path / "uneven.mp4", 25) as writer:
        for seconds in times:
            writer.add(image, seconds)
    words = ["--engine", str(engine), *BOX, "--n", "2", "--output", str(tmp_path / "out")]
    assert main(["video", str(tmp_path / "uneven.mp4"), *words]) == 0
    rows = list(csv.DictReader((tmp_path / "out" / "areas.csv").open()))
    shown = [frame.time for frame in open_source(tmp_path / "out" / "overlay.mp4").frames()]
    np.testing.assert_allclose([float(row["time_s"]) for row in rows], times, atol=2e-3)
    np.testing.assert_allclose(shown, times, atol=2e-3)


def test_video_tells_how_long_it_took(
    engine: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "video",
        str(still),
        "--engine",
        str(engine),
        *BOX,
        "--n",
        "2",
        "--output",
        str(tmp_path / "out"),
    ]
    assert main(words) == 0
    text = capsys.readouterr().out
    for part in ("p50", "first frame after", "MiB of memory", "3 frames, 2 hypotheses"):
        assert part in text
    assert "p95" not in text  # of three frames it would be one of them


def test_video_takes_labels_temperature_and_modes(engine: Path, still: Path, tmp_path: Path) -> None:
    words = ["video", str(still), "--engine", str(engine), "--points", "20", "30", "70", "10", "--n", "4"]

    def rows(*options: str) -> list[dict[str, str]]:
        out = tmp_path / "-".join(options)
        assert main([*words, *options, "--output", str(out)]) == 0
        with (out / "areas.csv").open() as stream:
            return list(csv.DictReader(stream))

    ones = rows("--labels", "1", "1")
    areas = [row["area_mean"] for row in ones]
    assert areas == [row["area_mean"] for row in rows()]
    assert areas != [row["area_mean"] for row in rows("--labels", "1", "0")]
    assert any(row["area_low"] != row["area_high"] for row in ones)
    means = rows("--labels", "1", "1", "--temperature", "0")
    assert all(row["area_low"] == row["area_high"] for row in means), "every hypothesis is the prior's mean"
    assert {row["modes"] for row in rows("--labels", "1", "1", "--modes", "3")} == {"3"}


def test_video_wants_boxes_or_a_box(engine: Path, still: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["video", str(still), "--engine", str(engine), *BOX, "--boxes", "1", "2", "30", "40"]
    assert "either --boxes" in refused(words, capsys)


def test_video_without_rerun_says_what_to_install(
    engine: Path,
    still: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    words = ["video", str(still), "--engine", str(engine), *BOX, "--output", str(tmp_path / "out")]
    assert "pip install 'rerun-sdk>=0.23'" in refused([*words, "--rerun"], capsys)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_keeps_the_frames_before_it(engine: Path, tmp_path: Path) -> None:
    source, out = tmp_path / "frames", tmp_path / "out"
    source.mkdir()
    for i in range(160):
        noise = np.random.default_rng(i).integers(0, 255, (240, 320, 3), dtype=np.uint8)
        Image.fromarray(noise).save(source / f"{i}.jpg", quality=60)
    # A limit on the size of a file stands for the end of the disk.
    script = (
        "import resource, signal, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (12_000_000, 12_000_000))\n"
        "from asam.cli import main; sys.exit(main(sys.argv[1:]))"
    )
    words = ["video", str(source), "--engine", str(engine), *BOX, "--n", "2", "--output", str(out)]
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "File too large" in done.stderr
    found = 0
    with av.open(str(out / "overlay.mp4")) as container, contextlib.suppress(av.error.InvalidDataError):
        for _ in container.decode(video=0):
            found += 1
    rows = (out / "areas.csv").read_text().splitlines()
    assert 50 <= found <= len(rows) - 1
    assert sorted(p.name for p in out.iterdir()) == ["areas.csv", "areas.png", "overlay.mp4"]
