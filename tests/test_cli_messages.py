"""What the command line says to somebody who typed something else than it expects."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asam import cli
from asam.assets import NANO
from asam.cli import train
from asam.cli._wording import as_typed, options_of
from asam_trt.sources import open_source


def usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """What a usage error says, its box taken off."""
    with pytest.raises(SystemExit) as stop:
        cli.main(words)
    assert stop.value.code == 2
    return " ".join(word for word in capsys.readouterr().err.split() if word != "│")


@pytest.mark.parametrize("command", ["sample", "video", "demo"])
@pytest.mark.parametrize("box", [["1", "2", "3"], ["1,2,30,40"], ["a", "b", "c", "d"]])
def test_a_box_of_other_than_four_numbers(
    command: str, box: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [command, "--box", *box]
    words += ["--photo", "p.png"] if command == "demo" else ["--engine", "e.asam", "--", "p.png"]
    said = usage(words, capsys)
    assert "[bold]" not in said
    assert "NoneType" not in said
    assert "--box" in said
    assert "Expected 4 values" in said or "expected the numbers x0 y0 x1 y1" in said


def test_points_and_boxes_that_do_not_come_out_even(capsys: pytest.CaptureFixture[str]) -> None:
    said = usage(["sample", "p.png", "--engine", "e.asam", "--points", "1", "2", "3"], capsys)
    assert "expected 2 numbers of each, x y, came 3: 1 2 3" in said
    said = usage(["video", "v.mp4", "--engine", "e.asam", "--boxes", "1", "2", "3"], capsys)
    assert "expected 4 numbers of each, x0 y0 x1 y1, came 3: 1 2 3" in said


@pytest.mark.parametrize(
    ("words", "choices"),
    [
        (["train", "--output", "r", "--masks"], "('multi', 'single')"),
        (["build", "sam.pth", "--pixels"], "('sam', 'unit')"),
        (["train", "--output", "r", "--posterior"], "('True', 'False')"),
    ],
)
def test_the_choices_of_an_option_are_those_that_are_typed(
    words: list[str], choices: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert f"Expected one of {choices}." in usage([*words, "sngle"], capsys)


def test_names_that_look_like_markup_are_shown_as_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    frames = Path("[red]frames:boom:")
    frames.mkdir()
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(frames / "0.png")
    assert cli.main(["build", str(NANO), "--output", "[bold]e.asam"]) == 0
    assert "built [bold]e.asam" in capsys.readouterr().err
    words = ["video", str(frames), "--engine", "[bold]e.asam", "--box", "5", "5", "40", "40", "--n", "2"]
    assert cli.main(words) == 0
    said = capsys.readouterr().out
    assert f"outputs/video/{frames}/areas.csv" in said
    assert "Session('[bold]e.asam'" in said


def test_a_check_names_its_folder_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "[red]set"
    folder.mkdir()
    assert cli.main(["data", "check", str(folder), "--layout", "lidc-crops"]) == 1
    assert capsys.readouterr().out.startswith(f"{folder}: ")


OPTIONS = {
    "backend": "--backend",
    "root": "--root",
    "augment": "--config.augment",
    "image_size": "--image-size",
}


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("no such folder; make one with asam_trt.build_engine", "no such folder; make one with `asam build`"),
        ("choose it with asam_trt.window(image, low, high)", "choose it with --window LOW HIGH"),
        ("data set 'x' needs root=, the folder", "data set 'x' needs --root, the folder"),
        ("use backend='cpu', or another", "use --backend cpu, or another"),
        ("there is root='my sets/a-1', a folder", "there is --root my sets/a-1, a folder"),
        ("expected augment=False beside it", "expected --config.no-augment beside it"),
        ("image_size: expected 16, got 3", "--image-size: expected 16, got 3"),
        ("expected image_size for a plain SAM alone", "expected --image-size for a plain SAM alone"),
        ("a.json: got: [Errno 2] No such file", "a.json: got: No such file"),
        ("root of the tree, encoder='auto'", "root of the tree, encoder='auto'"),
        ("in/image_size/x_y.png: no image_size.", "in/image_size/x_y.png: no image_size."),
    ],
)
def test_arguments_are_named_as_they_are_typed(text: str, typed: str) -> None:
    assert as_typed(text, OPTIONS) == typed


def test_options_of_a_command() -> None:
    found = options_of(train.Args)
    assert found["sam_checkpoint"] == "--sam-checkpoint"
    assert found["batch_size"] == "--config.batch-size"
    assert found["output"] == "--output"


PHOTO = ["photo.png", "--engine"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with a photo and files that are not what their names say."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save("photo.png")
    Image.fromarray(np.full((48, 64), 3000, np.uint16)).save("scan.png")
    Path("slice.dcm").write_bytes(b"\0" * 128 + b"DICM")
    Path("text.jpg").write_text("no picture\n")
    Path("empty").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["sample", *PHOTO, "."],
            ".: expected an engine folder, came one without manifest.json; make one with `asam build`",
        ),
        (["video", "empty", "--engine", "."], ".: expected an engine folder"),
        (["sample", *PHOTO, "no.asam"], "no such folder; make one with `asam build`"),
        (
            ["sample", *PHOTO, "e", "--n", "0"],
            "expected --n from 1 to 8192 hypotheses, came 0 (",
        ),
        (["sample", *PHOTO, "e", "--labels", "1"], "came 1 label of 0 points"),
        (
            ["sample", "scan.png", "--engine", "e"],
            "of values 3000 to 3000: choose the window of values to be seen with --w",
        ),
        (
            ["sample", "no.png", "--engine", "e"],
            "no.png: expected a readable image file, came: No such file or directory (",
        ),
        (
            ["sample", "empty", "--engine", "e"],
            "empty: expected a folder with the images of a DICOM series, came none in it (",
        ),
        (
            ["sample", "slice.dcm", "--engine", "e"],
            "slice.dcm: expected a DICOM image, came a file without pixels (",
        ),
        (
            ["demo", "--photo", "scan.png", "--box", "1", "2", "3", "4"],
            "values 3000 to 3000: choose the window of values to be seen with --window LOW HIGH (",
        ),
        (
            ["demo", "--photo", "scan.png", "--box", "1", "2", "3", "4", "--window", "0", "9"],
            "scan.png: expected a window that overlaps the image's values, 3000 to 3000, came 0 to 9 (",
        ),
        (["demo", "--window", "0", "9"], "expected --window with --photo"),
        (["build", "empty"], "expected a checkpoint file, came empty: a folder"),
        (
            ["data", "check", "nowhere"],
            "error: nowhere: expected a data set, got no such file or folder; check the path",
        ),
        (["data", "check", "empty", "--limit", "-1"], "--limit: expected 0, for all, or more, got -1"),
        (["data", "show", "synthetic:nested", "--tile", "-4"], "--tile: expected 16 to 2048 pixels, got -4"),
        (["demo", "--n", "0"], "expected --n"),
        (
            ["train", "--output", "r", "--data", "lidc-crops"],
            "--data: expected --root with 'lidc-crops', the folder that holds it",
        ),
        (
            ["train", "--output", "r", "--data", "synthetic:pair", "--config.warmup", "-1"],
            "--config.warmup: expected a n",
        ),
        (
            ["train", "--output", "r", "--data", "x", "--method", "unet", "--backbone", "nano"],
            "--method: expected one of ['asam'",
        ),
        (["evaluate", "tabels"], "no experiment 'tabels'; expected options, or one of ablation"),
        (
            ["evaluate", "tables", "--studies", "photo.png"],
            "evaluate tables: error: photo.png: expected the study.json of a strict study, got: no text",
        ),
        (
            ["evaluate", "--model", "empty", "--epochs", "3", "--data", "synthetic:pair"],
            "--epochs: expected with a file of",
        ),
        (
            [
                "evaluate",
                "sensitivity",
                "--model",
                "text.jpg",
                "--sam",
                "vit_b",
                "--data",
                "synthetic:pair",
                "--output",
                "s",
            ],
            "text.jpg: expected a file of tensors only",
        ),
    ],
)
def test_a_slip_takes_one_line_that_helps(
    folder: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(words) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert said in line
    assert len(line) < 400


def test_a_package_that_is_missing_takes_one_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    case = tmp_path / "HGG" / "Brats17_A_1"
    case.mkdir(parents=True)
    for kind in ("t1", "t1ce", "t2", "flair", "seg"):
        (case / f"{case.name}_{kind}.nii.gz").touch()
    assert cli.main(["data", "show", str(tmp_path), "--layout", "brats2017"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert (
        "needs the package nibabel; install it with: pip install nibabel, or all of the extra `data`" in line
    )


def test_a_text_that_is_named_as_a_picture(folder: Path) -> None:
    with pytest.raises(
        ValueError, match=r"text.jpg: expected a video or a picture, came .*: Invalid data"
    ) as stop:
        list(open_source("text.jpg").frames())
    assert "Errno" not in str(stop.value)


def test_a_size_of_0_is_no_size_that_was_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["evaluate", "--model", str(NANO), "--data", "synthetic:pair", "--size", "0"]) == 2
    assert "--size: expected at least 32 pixels, got 0" in capsys.readouterr().err
