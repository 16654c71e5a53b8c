"""Files as layers, and `asam view`."""

from __future__ import annotations

import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow

import asam_trt
from asam import cli

pytest.importorskip("napari", reason="napari is not installed: pip install '.[napari]'")
pytest.importorskip("qtpy", reason="there is no Qt: pip install '.[napari]'", exc_type=ImportError)

from asam_trt.napari.opening import read_layer


def test_a_photo(photo: np.ndarray, tmp_path: Path) -> None:
    Pillow.fromarray(photo).save(tmp_path / "discs.png")
    layer, remarks = read_layer(tmp_path / "discs.png")
    assert (layer.name, layer.rgb, remarks) == ("discs", True, [])
    assert np.array_equal(layer.data, photo)


def test_a_scan_keeps_its_millimetres(scan: np.ndarray, tmp_path: Path) -> None:
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(scan.transpose(2, 1, 0), np.diag([-0.7, -0.8, 2.5, 1])), path)
    layer, _ = read_layer(path, (-1000, 400))
    assert np.allclose(layer.scale, (2.5, 0.8, 0.7))
    assert [str(unit) for unit in layer.units] == ["millimeter"] * 3
    assert layer.contrast_limits == [-1000, 400]
    assert np.array_equal(layer.data, asam_trt.read_volume(path).values)


def test_an_array_of_colour_like_width_is_a_scan(tmp_path: Path) -> None:
    np.save(tmp_path / "narrow.npy", np.zeros((5, 6, 3), np.int16))
    layer, _ = read_layer(tmp_path / "narrow.npy")
    assert layer.data.shape == (5, 6, 3)
    assert not layer.rgb


def test_the_command_opens_what_it_is_given(
    nano: Path, photo: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Pillow.fromarray(photo).save(tmp_path / "discs.png")
    opened: list[object] = []
    monkeypatch.setattr("asam_trt.napari.opening.open_viewer", lambda *given: opened.extend(given) or (0, 0))
    monkeypatch.setattr("napari.run", lambda: opened.append("ran"))
    monkeypatch.setenv("QT_QPA_PLATFORM", "offscreen")
    assert cli.main(["view", str(tmp_path / "discs.png"), "--engine", str(nano)]) == 0
    layer, engine, ran = opened
    assert np.array_equal(layer.data, photo)
    assert (engine, ran) == (nano, "ran")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says by DISPLAY whether there is a display")
def test_without_a_display(
    nano: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"):
        monkeypatch.delenv(name, raising=False)
    assert cli.main(["view", "discs.png", "--engine", str(nano)]) == 2
    assert "expected a display" in capsys.readouterr().err
