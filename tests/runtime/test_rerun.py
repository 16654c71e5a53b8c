"""Recordings for the Rerun viewer, read back with its own SDK; skipped where it is not installed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import asam_trt
from asam_trt.rerun_log import RerunLog

pytest.importorskip("rerun", reason="rerun-sdk is not installed: pip install rerun-sdk")

BOX = (10.0, 8.0, 60.0, 45.0)


def test_a_recording_holds_every_frame(session: asam_trt.Session, image: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "deep" / "run.rrd"
    objects = {"a": {"box": BOX}, "b": {"point_coords": [[30, 20]], "point_labels": [1]}}
    frames = [np.roll(image, i, axis=1) for i in range(3)]
    with RerunLog(path) as log:
        for frame, found in asam_trt.VideoSampler(session).run(frames, objects=objects, n=3, follow=True):
            log.log(frame, found)
        assert not path.exists()
    assert [p.name for p in path.parent.iterdir()] == ["run.rrd"]
    done = subprocess.run(
        [sys.executable, "-m", "rerun", "rrd", "print", "-v", str(path)],
        capture_output=True,
        text=True,
        check=True,
    )
    for entity in (
        "/video/image",
        "/video/a/outlines",
        "/video/a/box",
        "/entropy/b",
        "/area/b",
        "/milliseconds",
    ):
        assert entity in done.stdout


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"ending in \.rrd"):
        RerunLog(tmp_path / "run.mp4")
