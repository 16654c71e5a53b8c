"""The network that ships, and viewers without a window."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import asam_trt
from asam.assets import NANO

if TYPE_CHECKING:
    from asam_trt.napari.explorer import Explorer

if sys.platform == "linux" and not os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}:
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # Qt ends the process otherwise


@pytest.fixture(scope="session")
def nano(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return asam_trt.build_engine(NANO, tmp_path_factory.mktemp("nano") / "nano.asam", progress=False)


@pytest.fixture(scope="session")
def session(nano: Path) -> Iterator[asam_trt.Session]:
    with asam_trt.Session(nano) as session:
        yield session


@pytest.fixture
def explore(session: asam_trt.Session) -> Callable[..., Explorer]:
    """An `Explorer` of an image in a viewer of its own; keywords are those of `add_image`."""
    from napari.components import ViewerModel

    from asam_trt.napari.explorer import Explorer

    def make(values: Any, **look: Any) -> Explorer:
        viewer = ViewerModel()
        explorer = Explorer(viewer)
        explorer.session = session
        explorer.start(viewer.add_image(values, **look))
        return explorer

    return make


@pytest.fixture
def scan() -> np.ndarray:
    """A bright ball in int16 of a CT's range, [slices, rows, columns]."""
    z, y, x = np.ogrid[:9, :72, :96]
    distance = np.sqrt((4 * (z - 4)) ** 2 + (y - 36) ** 2 + (x - 48) ** 2)
    noise = np.random.default_rng(0).normal(0, 30, distance.shape)
    return (-850 + 870 / (1 + np.exp((distance - 18) / 2)) + noise).astype(np.int16)


@pytest.fixture
def photo() -> np.ndarray:
    """Two discs of one colour, uint8 [rows, columns, 3]."""
    y, x = np.ogrid[:90, :120]
    picture = np.full((90, 120, 3), (40, 60, 90), np.uint8)
    for centre in (35, 85):
        picture[(y - 45) ** 2 + (x - centre) ** 2 < 20**2] = (220, 180, 60)
    return picture
