"""The demonstration, whole: every file it promises, playable and linked."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

import asam_trt
from asam import demo, progress
from asam.assets import NANO
from asam.cli import main
from asam.data import Synthetic
from asam.model import load_checkpoint
from asam_trt import image_files


def test_the_shipped_checkpoint_is_small_and_sound() -> None:
    assert NANO.stat().st_size <= 8_000_000
    model = load_checkpoint(NANO)
    assert model.config.backbone == "nano"


@pytest.mark.slow
def test_demo(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("skimage", reason="the demo's photo comes with scikit-image")
    page = demo.run(demo.Settings(output=tmp_path, judged=8))
    text = page.read_text()
    for name in re.findall(r"src='([^']+)'", text):
        assert (tmp_path / name).stat().st_size > 1000, name
    assert "GED" in text
    assert str(page) in capsys.readouterr().out.replace("\n", "")
    for picture in tmp_path.glob("*.png"):
        assert np.asarray(Image.open(picture)).std() > 5, picture
    with av.open(str(tmp_path / "video.mp4")) as video:
        frames = sum(1 for _ in video.decode(video=0))
    assert frames == len(demo.inputs.VIDEO_SEEDS) * demo.inputs.FRAMES
    assert len(np.load(tmp_path / "photo.npz")["scores"]) == 32


def test_the_photo_is_read_first_and_turned_upright(tmp_path: Path) -> None:
    settings = demo.Settings(output=tmp_path / "out", photo=tmp_path / "none.jpg", box=(1, 2, 30, 40))
    with pytest.raises(ValueError, match=r"none\.jpg: expected a readable image file"):
        demo.run(settings)
    assert not settings.output.exists()
    exif = Image.Exif()
    exif[0x0112] = 6  # turn right
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "turned.jpg", exif=exif)
    assert demo.inputs.photo(tmp_path / "turned.jpg").shape == (30, 20, 3)


def test_photo_and_box_go_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--photo", str(tmp_path / "x.png"), "--output", str(tmp_path)]) == 2
    assert "--photo and --box together" in capsys.readouterr().err


@pytest.mark.slow
def test_only_results_of_the_demo_are_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo.inputs, "FRAMES", 1)
    steps = importlib.import_module("asam.demo.run")  # the package has a function of this name
    few = {"length": 2}
    monkeypatch.setattr(steps, "Synthetic", lambda *words, **options: Synthetic(*words, **{**options, **few}))
    Image.fromarray(np.full((48, 64, 3), 90, np.uint8)).save(tmp_path / "a.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "photo.npz").write_text("somebody's own")
    words = ["demo", "--photo", tmp_path / "a.png", "--box", 4, 4, 40, 40, "--n", 2, "--output", out]
    command = [str(word) for word in words]
    assert main(command) == 2
    assert "expected a folder without photo.npz, or one with index.html too" in capsys.readouterr().err
    assert [(path.name, path.read_text()) for path in out.iterdir()] == [("photo.npz", "somebody's own")]
    (out / "photo.npz").unlink()
    assert main(command) == 0
    assert "replaced" not in capsys.readouterr().err
    names = sorted(path.name for path in out.iterdir())
    assert names == sorted([*demo.RESULTS, "nano.asam"])

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    before = {name: (out / name).read_bytes() for name in demo.RESULTS}
    with monkeypatch.context() as patch:
        patch.setattr(steps, "write_page", interrupted)
        assert main([*command, "--seed", "1"]) == 130
    assert sorted(path.name for path in out.iterdir()) == names
    assert {name: (out / name).read_bytes() for name in demo.RESULTS} == before
    assert main([*command, "--seed", "1"]) == 0
    assert f"replaced the results of an earlier run in {out}" in capsys.readouterr().err
    assert (out / "photo.npz").read_bytes() != before["photo.npz"]


@pytest.mark.slow
def test_progress_is_plain_lines_without_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_LONGEST", 0.0)
    monkeypatch.setattr(demo.inputs, "FRAMES", 2)
    settings = demo.Settings(output=tmp_path, box=(4, 4, 40, 40), n=2, judged=2)
    demo.run(settings, np.full((48, 64, 3), 90, np.uint8))
    said = capsys.readouterr()
    assert [line for line in said.err.splitlines() if line.startswith(("video: 6", "judging"))] == [
        "video: 6 of 6",
        "judging on synthetic images: 1 of 2",
        "judging on synthetic images: 2 of 2",
    ]
    assert "judging" not in said.out


def test_the_photo_is_read_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    read: list[object] = []
    deep = image_files.read_picture
    monkeypatch.setattr(image_files, "read_picture", lambda *words: (read.append(words[0]), deep(*words))[1])

    def stop(*_: object) -> None:
        raise ValueError("stop")

    monkeypatch.setattr(asam_trt, "build_engine", stop)
    path = tmp_path / "photo.png"
    Image.new("LA", (64, 48)).save(path)
    words = ["demo", "--photo", str(path), "--box", "4", "4", "40", "40", "--output", str(tmp_path / "out")]
    assert main(words) == 2
    remark, error = capsys.readouterr().err.splitlines()
    assert "transparent" in remark
    assert "stop" in error
    assert read == [path]
