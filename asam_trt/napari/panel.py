"""The plugin's window: settings, the modes with their shares, and what to do with the mask that is picked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from magicgui.widgets import CheckBox, ComboBox, Container, FileEdit, Label, PushButton, SpinBox
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QIcon, QPixmap
from qtpy.QtWidgets import QListWidget, QListWidgetItem, QVBoxLayout, QWidget
from superqt.utils import qthrottled

from asam_trt.counting import counted
from asam_trt.modes import MAX_GROUPED, UNCLEAR
from asam_trt.napari.explorer import Explorer
from asam_trt.napari.notices import Notices
from asam_trt.napari.results import colour_of
from asam_trt.session import Session

_MILLISECONDS = 40  # between two updates while something is dragged
_CHIP = 14  # pixels
_HINT = "Draw a box, or click points (T: in or out)"


class Panel(QWidget):  # type: ignore[misc]
    """What is docked beside the picture.

    Args:
        napari_viewer: whose layers are asked about; napari gives it by this name.
        engine: folder of an engine.
    """

    def __init__(self, napari_viewer: ViewerModel, engine: Path | None = None) -> None:
        super().__init__()
        self._later = qthrottled(self.refresh, timeout=_MILLISECONDS, leading=False, parent=self)
        self.explorer = Explorer(napari_viewer, self._later)
        self._notices = Notices()
        self._image = ComboBox(label="image", choices=lambda _: self.explorer.images(), nullable=False)
        self._engine = FileEdit(label="engine", mode="d", value=engine or "")
        self._n = SpinBox(label="hypotheses", value=32, min=1, max=MAX_GROUPED)
        self._seed = SpinBox(label="seed", value=0, min=0, max=2**31 - 1)
        self._status = Label(value=_HINT)
        self._modes = QListWidget()
        self._hypothesis = SpinBox(label="hypothesis", min=0, max=31, enabled=False)
        self._refine = CheckBox(text="Go on from this mask")
        self._number = SpinBox(label="as label", value=1, min=1, max=65535)
        self._keep = PushButton(text="Keep this mask")
        self._clear = PushButton(text="Clear the prompt")
        self._asked = Container(widgets=[self._image, self._engine, self._n, self._seed, self._status])
        self._answer = Container(
            widgets=[self._hypothesis, self._refine, self._number, self._keep, self._clear]
        )
        rows = QVBoxLayout(self)
        for row in (self._asked.native, self._modes, self._answer.native):
            rows.addWidget(row)

        self._image.changed.connect(self._start)
        self._engine.changed.connect(self._open)
        self._n.changed.connect(self._set)
        self._seed.changed.connect(self._set)
        self._modes.currentItemChanged.connect(self._pick_mode)
        self._hypothesis.changed.connect(self._pick)
        self._refine.changed.connect(self._go_on)
        self._keep.changed.connect(self._keep_mask)
        self._clear.changed.connect(self.explorer.clear)
        napari_viewer.layers.events.inserted.connect(self._choose)
        napari_viewer.layers.events.removed.connect(self._choose)
        if engine is not None:
            self._open(engine)
        self._choose()

    def refresh(self) -> None:
        """Bring layers and list up to what is drawn; errors become notifications."""
        with self._notices.told():
            if self.explorer.update():
                self._list()
        if self.explorer.hypotheses is None:
            self._list()
            self._status.value = self._notices.text or _HINT
        with self._refine.changed.blocked():
            self._refine.value = self.explorer.refining

    def _choose(self, event: Any = None) -> None:
        self._image.reset_choices()
        if self._image.value is not self.explorer.image:
            self._start(self._image.value)

    def _start(self, image: Image | None) -> None:
        if image is not None:
            self.explorer.start(image)

    def _open(self, path: Path) -> None:
        with self._notices.told():
            self.explorer.session = Session(path)
        self._later()

    def _set(self) -> None:
        self.explorer.n, self.explorer.seed = self._n.value, self._seed.value
        self._later()

    def _list(self) -> None:
        """The modes of the answer, none without one."""
        found, modes = self.explorer.hypotheses, self.explorer.modes
        self._modes.blockSignals(True)
        self._modes.clear()
        if found is not None and modes is not None:
            for i, mode in enumerate(modes):
                area = int(found.areas[mode.index])
                about = f"{area:,} px, spread {mode.spread:.2f}" if area else "empty"
                item = QListWidgetItem(_chip(i), f"{mode.probability:.0%}   {about}")
                item.setData(Qt.ItemDataRole.UserRole, mode.index)
                self._modes.addItem(item)
            self._modes.setCurrentRow(0)
            self._show_picked(self.explorer.picked, len(found))
            self._status.value = self._summary(len(found), len(modes), modes.clear)
        self._hypothesis.enabled = found is not None
        self._modes.blockSignals(False)

    def _summary(self, n: int, k: int, clear: bool) -> str:
        parts = [f"{counted(n, 'hypothesis')}, {counted(k, 'mode')}"] + [UNCLEAR] * (not clear)
        session = self.explorer.session
        if session is not None and session.engine.preprocessing.jitter is not None:
            parts.append("shares, not probabilities")
        return "; ".join(parts)

    def _pick_mode(self, item: QListWidgetItem | None) -> None:
        if item is not None:
            index = item.data(Qt.ItemDataRole.UserRole)
            self.explorer.pick(index)
            self._show_picked(index, self._hypothesis.max + 1)

    def _show_picked(self, index: int, n: int) -> None:
        with self._hypothesis.changed.blocked():
            self._hypothesis.max = max(1, n - 1)
            self._hypothesis.value = index

    def _pick(self, index: int) -> None:
        self.explorer.pick(min(index, len(self.explorer.hypotheses or ()) - 1))

    def _go_on(self, on: bool) -> None:
        self.explorer.refine(on)

    def _keep_mask(self) -> None:
        with self._notices.told():
            self.explorer.keep(self._number.value)
            self._number.value += 1


def _chip(mode: int) -> QIcon:
    chip = QPixmap(_CHIP, _CHIP)
    chip.fill(QColor.fromRgbF(*colour_of(mode)))
    return QIcon(chip)
