"""`asam view` where napari is not installed."""

from __future__ import annotations

import sys

import pytest

from asam import cli


def test_without_napari_one_line_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "napari", None)
    assert cli.main(["view", "photo.jpg", "--engine", "nano.asam"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "asam view needs napari" in line
    assert "pip install 'napari>=0.6.2' PySide6-Essentials" in line
