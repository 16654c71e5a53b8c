"""What cannot be answered becomes a notification that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari", reason="napari is not installed: pip install '.[napari]'")

from napari.utils.notifications import notification_manager

from asam_trt.napari.explorer import Explorer
from asam_trt.napari.notices import Notices


@pytest.fixture
def said() -> Iterator[list[str]]:
    found: list[str] = []

    def note(event: Any) -> None:
        found.append(event.message)

    notification_manager.notification_ready.connect(note)
    yield found
    notification_manager.notification_ready.disconnect(note)


def tell(notices: Notices, explorer: Explorer) -> None:
    with notices.told():
        explorer.update()


def no_engine(explorer: Explorer) -> None:
    explorer.session = None


def three_dimensions(explorer: Explorer) -> None:
    explorer.viewer.dims.ndisplay = 3


def beyond(explorer: Explorer) -> None:
    explorer.viewer.add_image(np.zeros((40, 8, 8)))
    explorer.viewer.dims.set_point(0, 30)


def outside(explorer: Explorer) -> None:
    explorer.boxes.data = explorer.boxes.data[0] + (0, 500, 0)


def black(explorer: Explorer) -> None:
    explorer.image.contrast_limits = (2000, 3000)


def not_finite(explorer: Explorer) -> None:
    explorer.image.data = np.full(explorer.image.data.shape, np.nan, np.float32)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (no_engine, "expected an engine, came none: choose"),
        (three_dimensions, "expected a view of slices, came one in three dimensions"),
        (beyond, "expected a slice of 'scan' from 0 to 8, came 30"),
        (outside, "expected a box"),
        (black, "move the contrast limits"),
        (not_finite, "expected finite image values"),
    ],
)
def test_bad_input_is_told_once(
    explore: Callable[..., Explorer],
    scan: np.ndarray,
    said: list[str],
    spoil: Callable[[Explorer], None],
    words: str,
) -> None:
    explorer = explore(scan, contrast_limits=(-1000, 400), name="scan")
    explorer.viewer.dims.set_point(0, 4)
    corners = [(4, y, x) for y, x in ((16, 28), (16, 68), (56, 68), (56, 28))]
    explorer.boxes.add_rectangles(np.array(corners, float))
    notices = Notices()
    tell(notices, explorer)
    assert said == []
    assert explorer.hypotheses is not None
    spoil(explorer)
    tell(notices, explorer)
    tell(notices, explorer)
    assert len(said) == 1
    assert words in said[0]
    assert notices.text == said[0]
    assert explorer.hypotheses is None
    assert not explorer.viewer.layers["mean"].data.any()


def test_bugs_are_not_hidden() -> None:
    with pytest.raises(AssertionError), Notices().told():
        raise AssertionError
