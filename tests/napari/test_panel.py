"""The panel, with Qt and without a window; then in the real viewer, where there is OpenGL."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install '.[napari]'")
pytest.importorskip("qtpy", reason="there is no Qt: pip install '.[napari]'", exc_type=ImportError)

import napari
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtWidgets import QApplication

from asam_trt.napari.opening import open_viewer
from asam_trt.napari.panel import Panel

CORNERS = np.array([(20, 10), (20, 70), (72, 70), (72, 10)], float) - 0.5


@pytest.fixture(scope="module")
def application() -> QApplication:
    return QApplication.instance() or QApplication([])


def wait(condition: Callable[[], Any], seconds: float = 30) -> None:
    """Let Qt work until something holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        QApplication.processEvents()
        time.sleep(0.005)


def shares(panel: Panel) -> list[str]:
    return [panel._modes.item(i).text().split()[0] for i in range(panel._modes.count())]


@pytest.fixture
def panel(application: QApplication, nano: Path, photo: np.ndarray) -> Panel:
    viewer = ViewerModel()
    viewer.add_image(photo, name="photo")
    panel = Panel(viewer, nano)
    panel.explorer.boxes.add_rectangles(CORNERS)
    wait(lambda: panel.explorer.hypotheses is not None)
    return panel


def test_modes_are_listed_and_picked(panel: Panel) -> None:
    explorer = panel.explorer
    modes = explorer.hypotheses.modes()
    assert len(modes) > 1
    assert shares(panel) == [f"{mode.probability:.0%}" for mode in modes]
    assert "32 hypotheses" in panel._status.value
    mask = explorer.viewer.layers["mask"]
    for i in (1, 0):
        panel._modes.setCurrentRow(i)
        assert np.array_equal(mask.data > 0, modes.masks[i])
        assert panel._hypothesis.value == modes[i].index
    panel._hypothesis.value = 9
    assert np.array_equal(mask.data > 0, explorer.hypotheses[9])


def test_settings_ask_anew(panel: Panel) -> None:
    before = panel.explorer.hypotheses
    panel._n.value, panel._seed.value = 12, 3
    wait(lambda: panel.explorer.hypotheses is not before)
    expected = panel.explorer.session.sample(
        box=(10, 20, 70, 72), n=12, seed=3, image=panel.explorer._encoded
    )
    assert np.array_equal(panel.explorer.hypotheses.masks, expected.masks)
    assert panel._hypothesis.max == 11


def test_dragging_asks_at_most_once_a_frame(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[int] = []
    update = panel.explorer.update
    monkeypatch.setattr(panel.explorer, "update", lambda: done.append(1) or update())
    before = panel.explorer.hypotheses
    for step in range(200):
        panel.explorer.boxes.data = [CORNERS + step / 50]
    wait(lambda: panel.explorer.hypotheses is not before)
    assert len(done) <= 2


def test_correct_keep_and_clear(panel: Panel) -> None:
    explorer = panel.explorer
    before = explorer.hypotheses
    panel._refine.value = True
    wait(lambda: explorer.hypotheses is not before)
    assert explorer.refining
    panel._keep.native.click()
    kept = explorer.viewer.layers["kept"].data
    assert np.array_equal(kept > 0, explorer.modes.masks[0])
    assert panel._number.value == 2
    panel._clear.native.click()
    wait(lambda: explorer.hypotheses is None)
    assert shares(panel) == []
    assert not panel._refine.value
    assert "Draw a box" in panel._status.value


def test_what_is_no_engine_is_told(panel: Panel, tmp_path: Path) -> None:
    session = panel.explorer.session
    panel._engine.value = tmp_path
    assert panel.explorer.session is session
    assert str(tmp_path) in panel._notices.text


def test_images_come_and_go(application: QApplication, photo: np.ndarray) -> None:
    viewer = ViewerModel()
    panel = Panel(viewer)
    assert panel.explorer.image is None
    first, second = viewer.add_image(photo, name="first"), viewer.add_image(photo, name="second")
    assert panel.explorer.image is first
    viewer.layers.remove(first)
    assert panel.explorer.image is second
    viewer.layers.clear()
    panel.refresh()
    assert panel.explorer.hypotheses is None


@pytest.fixture
def _opengl(application: QApplication) -> None:
    viewer = napari.Viewer(show=False)
    try:
        viewer.add_image(np.zeros((4, 4)))
    except Exception as error:  # by vispy, in words and types that depend on the driver
        pytest.skip(f"napari cannot draw here, which takes OpenGL 2.1 and a display: {error!r}")
    viewer.close()  # where it draws: a layer that it has half taken makes it fail


@pytest.mark.usefixtures("_opengl")
def test_in_the_viewer(nano: Path, photo: np.ndarray) -> None:
    viewer, panel = open_viewer(Image(photo), nano)
    try:
        blank = viewer.export_figure(flash=False)
        panel.explorer.boxes.add_rectangles(CORNERS)
        wait(lambda: panel.explorer.hypotheses is not None)
        assert len(shares(panel)) > 1
        found = viewer.export_figure(flash=False)
        assert found.shape == blank.shape
        assert (found != blank).any()
    finally:
        viewer.close()
