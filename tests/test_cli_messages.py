"""What the command line says to somebody who typed something else than it expects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from asam import cli
from asam.assets import NANO


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
