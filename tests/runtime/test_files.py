"""Files that appear whole, whatever their names."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from asam_trt.files import beside, replacing, write_text
from asam_trt.staging import staged_folder
from asam_trt.video_writer import VideoWriter

LONG = "é" * 100 + "x" * 46  # 246 bytes: with an ending of four, 250 of the 255 that file systems take


def test_a_name_beside_is_hidden_short_and_of_its_own(tmp_path: Path) -> None:
    target = tmp_path / f"{LONG}.mp4"
    one, two = (beside(target, ".part.mp4") for _ in range(2))
    assert one != two
    for path in (one, two):
        assert path.parent == tmp_path
        assert path.name.startswith(".é")
        assert path.suffix == ".mp4"
        assert len(os.fsencode(path.name)) < 255
    assert beside(tmp_path / "a.mp4", ".part").name.startswith(".a.mp4.")


def test_long_names_can_be_written(tmp_path: Path) -> None:
    file, folder, video = (tmp_path / f"{LONG}.{ending}" for ending in ("txt", "dir", "mp4"))
    with replacing(file) as temporary:
        temporary.write_text("whole")
    for content in ("old", "new"):
        with staged_folder(folder) as staged:
            (staged / content).write_text(content)
    with VideoWriter(video) as writer:
        writer.add(np.zeros((32, 32, 3), np.uint8))
    assert sorted(tmp_path.iterdir()) == sorted([file, folder, video])
    assert [path.name for path in folder.iterdir()] == ["new"]


def test_what_a_dead_process_left_beside_a_long_name_is_removed(tmp_path: Path) -> None:
    target = tmp_path / f"{LONG}.dir"
    with staged_folder(target) as staged:
        left = staged.with_name(staged.name.replace(f"-{os.getpid()}-", "-999999999-"))
    left.mkdir()
    with staged_folder(target):
        assert not left.exists()


@pytest.mark.parametrize(("name", "written"), [("café", "café"), (os.fsdecode(b"caf\xe9"), r"caf\udce9")])
def test_names_in_a_text(tmp_path: Path, name: str, written: str) -> None:
    write_text(tmp_path / "deep" / "a.md", name)
    assert (tmp_path / "deep" / "a.md").read_text(encoding="utf-8") == written
