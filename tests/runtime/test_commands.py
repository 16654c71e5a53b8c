"""asam build, sample and video as they are typed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import asam_trt
from asam import progress
from asam.assets import NANO
from asam.cli import main
from asam.cli._outputs import numbered, unused_removed
from asam_trt import _ops, follow, plots, precision
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
    (modes,) = [line for line in text.splitlines() if line.startswith("Modes(")]
    assert modes in (out / "index.html").read_text()
    with np.load(out / "hypotheses.npz") as found:
        assert len(found["logits"]) == 5


def test_no_call_replaces_the_results_of_another(
    engine: Path, photo: Path, still: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for command, source, name in (("sample", photo, "photo"), ("video", still, "frames")):
        words = [command, str(source), "--engine", str(engine), "--n", "2"]
        folder = tmp_path / "outputs" / command
        assert main([*words, *BOX]) == 0
        before = {p.name: p.read_bytes() for p in (folder / name).iterdir()}
        assert main([*words, "--box", "5", "5", "30", "30"]) == 0
        assert {p.name: p.read_bytes() for p in (folder / name).iterdir()} == before
        assert sorted(p.name for p in folder.iterdir()) == [name, f"{name}-2"]
        assert {p.name for p in (folder / f"{name}-2").iterdir()} == set(before)


def test_calls_at_once_have_folders_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = Path("outputs") / "sample" / "photo"
    with unused_removed():
        found = [numbered(folder) for _ in range(3)]
        assert [path.name for path in found] == ["photo", "photo-2", "photo-3"]
        (found[1] / "sheet.png").touch()
    assert [path.name for path in folder.parent.iterdir()] == ["photo-2"]
    numbered(Path("other") / "photo")
    with pytest.raises(KeyboardInterrupt), unused_removed():
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["outputs"]


@pytest.mark.parametrize(("ending", "status"), [(KeyboardInterrupt, 130), (MemoryError, 2)])
def test_a_sample_that_ends_early_leaves_no_folder(
    engine: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: type[BaseException],
    status: int,
) -> None:
    def end(*_: object, **__: object) -> None:
        assert list((tmp_path / "outputs" / "sample").iterdir())
        raise ending

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(asam_trt.Session, "sample", end)
    assert main(["sample", str(photo), "--engine", str(engine), *BOX]) == status
    assert not (tmp_path / "outputs").exists()


def test_names_that_are_no_text(engine: Path, photo: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9")
    try:
        photo.rename(tmp_path / f"{name}.png")
    except OSError:
        pytest.skip("names are text on this file system")
    words = ["sample", f"{name}.png", "--engine", str(engine), *BOX, "--n", "2"]
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(
        [sys.executable, "-c", "from asam.cli import main; import sys; sys.exit(main(sys.argv[1:]))", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    page = done.stdout.splitlines()[-1]
    assert page == b"outputs/sample/caf\xe9/index.html"
    assert "<h1>caf?.png: " in (tmp_path / os.fsdecode(page)).read_text(encoding="utf-8")


@pytest.mark.parametrize("inside", [False, True])
def test_links_that_lead_nowhere_are_refused_before_the_work(
    engine: Path, photo: Path, tmp_path: Path, inside: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    links = {"circle": "circle", "nothing": "not-there"}
    for name, target in links.items():
        (tmp_path / name).symlink_to(target)
        out = tmp_path / name / "x" if inside else tmp_path / name
        assert main(["sample", str(photo), "--engine", str(engine), *BOX, "--output", str(out)]) == 2
    circle, nothing = capsys.readouterr().err.splitlines()
    assert "came links in a circle" in circle
    assert "is a link to nothing" in nothing


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


def video_words(source: Path, engine: Path, output: Path) -> list[str]:
    return ["video", str(source), "--engine", str(engine), *BOX, "--n", "2", "--output", str(output)]


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
    assert not (tmp_path / "outputs").exists()


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


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """What a run that ends well says on standard error."""
    assert main(words) == 0
    return capsys.readouterr().err.splitlines()


@pytest.mark.parametrize(
    ("box", "share"), [("-2 -1 50 45", None), ("40 15 240 97", "91%"), ("-500 0 40 40", "93%")]
)
def test_a_box_beyond_the_image_is_told(
    engine: Path,
    photo: Path,
    still: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    box: str,
    share: str | None,
) -> None:
    words = ["--engine", str(engine), "--n", "2", "--box", *box.split(), "--output"]
    expected = (
        f"{share} of the box {box} lies outside the 80 x 50 (w x h) image: are these pixels of this image?"
    )
    for command, source in (("sample", photo), ("video", still)):
        said = told([command, str(source), *words, str(tmp_path / command)], capsys)
        assert said == ([] if share is None else [expected])


def test_a_box_of_another_image_is_refused(
    question: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*question[:-5], "--box", "90", "60", "480", "388", "--output", str(tmp_path / "out")]
    assert "expected a box that overlaps the 80 x 50 (w x h) image" in refused(words, capsys)


@pytest.mark.skipif(_ops.isa() not in precision._INTEGERS["int16"], reason="int16 needs AVX2")
def test_a_precision_in_place_of_another_is_told(
    question: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*question, "--n", "2", "--output", str(tmp_path / "out")]
    said = told([*words, "--precision", "bf16"], capsys)
    assert said == ["--precision bf16: int16, in place of bf16, and nearer to float32"]
    assert not any("--precision" in line for line in told([*words, "--precision", "int16"], capsys))


def test_a_precision_of_gpus_is_refused_on_the_cpu(
    question: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        "expected a GPU (backend cuda or tensorrt) for --precision fp16, came the CPU; on it, use one of auto, "
        "float32, int16, int8-encoder, int8, bf16 (" in refused([*question, "--precision", "fp16"], capsys)
    )


def test_sample_tells_what_of_a_file_is_left_out(
    engine: Path, image: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pages = [Image.fromarray(np.dstack([image, image[..., :1]])) for _ in range(3)]
    path = tmp_path / "stack.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    words = [
        "sample",
        str(path),
        "--engine",
        str(engine),
        *BOX,
        "--n",
        "2",
        "--output",
        str(tmp_path / "out"),
    ]
    assert told(words, capsys) == [
        f"{path}: page 1 of 3 is used",
        f"{path}: what is transparent is seen as white",
    ]


def test_video_tells_what_of_its_images_is_left_out(
    engine: Path, image: np.ndarray, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frames = tmp_path / "frames"
    frames.mkdir()
    page = Image.fromarray(image)
    for i in range(3):
        page.save(frames / f"{i}.tif", save_all=True, append_images=[page])
    words = video_words(frames, engine, tmp_path / "out")
    assert main(words) == 0
    said = f"{frames}: page 1 is used of images with several pages; the first is 0.tif"
    assert said in capsys.readouterr().out.splitlines()


def test_a_window_beside_the_values_of_an_image_is_refused(
    engine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "scans").mkdir()
    path = tmp_path / "scans" / "ct.tif"
    Image.fromarray(np.linspace(-835, 229, 4000).reshape(50, 80).astype(np.int32)).save(path)
    for command, source in (("sample", path), ("video", path.parent)):
        words = [command, str(source), "--engine", str(engine), *BOX, "--output", str(tmp_path / "out")]
        assert main([*words, "--window", "5000", "6000"]) == 2
        said = capsys.readouterr().err.splitlines()[-1]
        assert (
            "ct.tif: expected a window that overlaps the image's values, -835 to 229, came 5000 to 6000"
            in said
        )
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_earlier_results_are_replaced_whole_and_told(
    question: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o" / "n1"
    words = [*question, "--n", "2", "--output", str(out)]
    assert told(words, capsys) == []
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    assert told([*words, "--seed", "1"], capsys) == [f"replaced the results of an earlier run in {out}"]
    after = {p.name: p.read_bytes() for p in out.iterdir()}
    assert after.keys() == before.keys()
    same = {"index.html", "areas.png"}  # may be alike by chance
    assert all(after[name] != before[name] for name in after.keys() - same)


def test_files_of_somebody_else_are_no_earlier_results(
    question: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("index.html", "areas.csv"):
        (tmp_path / name).write_text("mine")
    said = refused([*question, "--n", "2", "--output", str(tmp_path)], capsys)
    assert "choose another output" in said
    assert "without index.html" in said or "without areas.csv" in said
    assert all((tmp_path / name).read_text() == "mine" for name in ("index.html", "areas.csv"))


def test_a_sample_that_fails_late_leaves_earlier_results_as_they_are(
    engine: Path,
    photo: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    out = tmp_path / "out"
    words = ["sample", str(photo), "--engine", str(engine), *BOX, "--n", "2", "--output", str(out)]
    assert told(words, capsys) == []
    before = {p.name: p.read_bytes() for p in out.iterdir()}

    def full(*_: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("asam.cli.sample._page", full)
    assert "space" in refused([*words, "--seed", "1"], capsys)
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before


def test_one_hypothesis_is_no_plural(
    question: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    titles: list[str] = []
    band = plots.band
    monkeypatch.setattr(
        plots, "band", lambda *a, title, **k: (titles.append(title), band(*a, title=title, **k))[1]
    )
    assert main([*question, "--n", "1", "--output", str(tmp_path / "out")]) == 0
    text = capsys.readouterr().out + "".join(titles)
    assert "1 hypothesis" in text
    assert "1 hypotheses" not in text


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


def test_a_lost_object_ends_the_run_and_is_marked(
    engine: Path,
    still: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    marks: list[tuple[float, str] | None] = []
    band = plots.band
    monkeypatch.setattr(
        plots, "band", lambda *a, mark, **k: (marks.append(mark), band(*a, mark=mark, **k))[1]
    )
    words = [*video_words(still, engine, tmp_path / "out"), "--follow"]
    assert main(words) == 0
    assert "stopped" not in capsys.readouterr().out
    monkeypatch.setattr(follow, "LOST_BELOW", 2.0)  # every frame is a miss
    monkeypatch.setattr(follow, "_PATIENCE", 2)
    assert main(words) == 0
    with (tmp_path / "out" / "areas.csv").open() as stream:
        last = list(csv.DictReader(stream))[-1]
    assert last["lost"] == "1"
    told = capsys.readouterr().out
    assert "frame 1: the object is lost\n" in told
    assert "stopped, 1 frame before the end: nothing is left to follow" in told
    assert marks == [None, (pytest.approx(float(last["time_s"])), "lost")]


@pytest.mark.parametrize(
    ("kind", "names"), [("npz", ["000000.npz", "000001.npz"]), ("png", ["000000", "000001"])]
)
def test_video_keeps_the_hypotheses(
    engine: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, names: list[str]
) -> None:
    out = tmp_path / "out"
    words = [*video_words(still, engine, out), "--frames", "2", "--save", kind]
    assert main(words) == 0
    assert str(out / "hypotheses") in capsys.readouterr().out
    kept = sorted((out / "hypotheses").iterdir())
    assert [path.name for path in kept] == names
    if kind == "npz":
        first = asam_trt.Hypotheses.load(kept[0])
        with (out / "areas.csv").open() as stream:
            assert float(next(csv.DictReader(stream))["area_mean"]) == pytest.approx(
                first.area().mean, abs=0.06
            )
    assert "expected no " in refused(words, capsys)
    assert "expected no " in refused(words[:-2], capsys)  # they would lie beside the results of other frames


def test_a_run_that_keeps_nothing_leaves_no_folder_of_hypotheses(
    engine: Path,
    still: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    out = tmp_path / "out"
    words = [*video_words(still, engine, out), "--save", "npz"]
    with monkeypatch.context() as patch:
        patch.setattr(asam_trt.Hypotheses, "save", full)
        (out / "hypotheses").mkdir(parents=True)  # of an earlier attempt
        assert "space" in refused(words, capsys)
    assert not (out / "hypotheses").exists()
    assert main(words) == 0


def test_following_wants_something_to_follow(
    engine: Path, still: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["video", str(still), "--engine", str(engine), "--follow"]
    assert "expected --box, --boxes or --points with --follow" in refused(words, capsys)


def test_video_tells_a_window_over_eight_bits(
    engine: Path, still: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*video_words(still, engine, tmp_path / "out"), "--window", "50", "100"]) == 0
    assert (
        "the window is of values 0 to 255 where images have 8 bits; the first is 0.png"
        in capsys.readouterr().out
    )


def test_video_keeps_the_hypotheses_of_several_objects(engine: Path, still: Path, tmp_path: Path) -> None:
    words = [
        "video",
        str(still),
        "--engine",
        str(engine),
        "--boxes",
        *BOX[1:],
        "30",
        "5",
        "75",
        "40",
        "--n",
        "2",
    ]
    words += ["--frames", "1", "--save", "coco", "--output", str(tmp_path / "out")]
    assert main(words) == 0
    kept = sorted((tmp_path / "out" / "hypotheses").iterdir())
    assert [path.name for path in kept] == ["000000-1.json", "000000-2.json"]


def test_sample_takes_a_mask(
    engine: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(photo) as image:
        w, h = image.size
        session = asam_trt.Session(engine)
        session.set_image(image.convert("RGB"))
    mask = np.zeros((h, w), np.bool_)
    mask[h // 4 : h // 2, w // 4 : w // 2] = True
    Image.fromarray(mask.astype(np.uint8) * 255).save(tmp_path / "mask.png")
    out = tmp_path / "out"
    words = ["sample", str(photo), "--engine", str(engine), "--mask", str(tmp_path / "mask.png"), "--n", "2"]
    assert main([*words, "--output", str(out)]) == 0
    assert "no --box" not in capsys.readouterr().err
    found = asam_trt.Hypotheses.load(out / "hypotheses.npz")
    np.testing.assert_array_equal(found.logits, session.sample(mask_input=mask, n=2).logits)
    assert (found.logits != session.sample(n=2).logits).any()
    assert "the mask mask.png" in (out / "index.html").read_text()
    Image.fromarray(np.zeros((5, 6), np.uint8)).save(tmp_path / "mask.png")
    assert "mask is 6 x 5 (w x h), its image" in refused([*words, "--output", str(out)], capsys)


@pytest.mark.parametrize("kind", ["tif", "gif"])
def test_sample_says_which_page_of_a_mask_it_takes(
    engine: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    with Image.open(photo) as image:
        w, h = image.size
    pages = [np.zeros((h, w), np.uint8) for _ in range(3)]
    for i, page in enumerate(pages):
        page[5 * i : 5 * i + 20, 10:30] = 255
    first, *others = map(Image.fromarray, pages)
    mask = tmp_path / f"mask.{kind}"
    first.save(mask, save_all=True, append_images=others)
    words = ["sample", str(photo), "--engine", str(engine), "--n", "2", "--mask"]
    assert main([*words, str(mask), "--output", str(tmp_path / "pages")]) == 0
    assert f"{mask}: page 1 of 3 is used" in capsys.readouterr().err
    first.save(tmp_path / "one.png")
    assert main([*words, str(tmp_path / "one.png"), "--output", str(tmp_path / "one")]) == 0
    assert "page 1" not in capsys.readouterr().err
    found, expected = (
        asam_trt.Hypotheses.load(tmp_path / name / "hypotheses.npz").logits for name in ("pages", "one")
    )
    np.testing.assert_array_equal(found, expected)


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
    words = video_words(still, engine, tmp_path / "out")
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
    words = video_words(source, engine, out)
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


def test_video_tells_its_progress_in_plain_lines_without_a_terminal(
    engine: Path,
    still: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(progress, "_LONGEST", 0.0)
    words = video_words(still, engine, tmp_path / "out")
    assert main(words) == 0
    said = capsys.readouterr()
    assert "sampling" not in said.out
    lines = [line for line in said.err.splitlines() if line.startswith("sampling: ")]
    assert lines[0] == "sampling: 1 of 3"
    assert re.fullmatch(r"sampling: 2 of 3, [\d.]+ frames/s, 0:00:\d\d left", lines[1])
    assert re.fullmatch(r"sampling: 3 of 3, [\d.]+ frames/s", lines[2])
