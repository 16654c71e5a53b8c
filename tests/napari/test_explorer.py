"""What is drawn on layers, against the same asked of a `Session` directly."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import asam_trt

pytest.importorskip("napari", reason="napari is not installed: pip install '.[napari]'")

from napari.components import ViewerModel
from napari.utils import interactions

from asam_trt.napari.explorer import Explorer
from asam_trt.napari.outlines import outlines
from asam_trt.napari.prompts import turn_sign

Explore = Callable[..., Explorer]

BOX = (10.0, 20.0, 70.0, 72.0)
WINDOW = (-1000.0, 400.0)


def rectangle(box: tuple[float, ...], *hidden: float) -> np.ndarray:
    """The corners of a box as napari has them, from the centres of pixels, on a slice."""
    x0, y0, x1, y1 = np.subtract(box, 0.5)
    return np.array([(*hidden, y, x) for y, x in ((y0, x0), (y0, x1), (y1, x1), (y1, x0))])


def layer(explorer: Explorer, name: str) -> Any:
    return explorer.viewer.layers[name]


def calls(monkeypatch: pytest.MonkeyPatch, session: asam_trt.Session) -> list[str]:
    """Names of `encode` and `sample`, whenever one is called."""
    found: list[str] = []

    def spy(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        return lambda *args, **kwargs: found.append(name) or call(*args, **kwargs)

    for name in ("encode", "sample"):
        monkeypatch.setattr(session, name, spy(name, getattr(session, name)))
    return found


def test_a_box_on_a_photo(explore: Explore, session: asam_trt.Session, photo: np.ndarray) -> None:
    explorer = explore(photo)
    explorer.boxes.add_rectangles(rectangle(BOX))
    assert explorer.update()
    expected = session.sample(box=BOX, n=32, seed=0, image=session.encode(photo))
    assert np.array_equal(explorer.hypotheses.masks, expected.masks)
    assert np.array_equal(layer(explorer, "mean").data, expected.mean)
    assert np.array_equal(layer(explorer, "entropy").data, expected.entropy)
    modes = expected.modes()
    assert np.array_equal(layer(explorer, "mask").data > 0, modes.masks[0])
    assert np.array_equal(layer(explorer, "modes").data, outlines(modes.masks, 1))
    names = [one.name for one in explorer.viewer.layers]
    assert names.index("mask") < names.index("box") < names.index("points")


def test_a_slice_of_a_scan_in_millimetres(
    explore: Explore, session: asam_trt.Session, scan: np.ndarray
) -> None:
    explorer = explore(scan, contrast_limits=WINDOW, scale=(2.5, 0.8, 0.7), translate=(7, -3, 11))
    explorer.viewer.dims.set_point(0, 7 + 2.5 * 5)
    explorer.boxes.add_rectangles([rectangle((20, 10, 80, 60), 4), rectangle((28, 16, 68, 56), 5)])
    explorer.points.add([[5, 36, 48], [2, 1, 1]])
    explorer.update()
    seen = session.encode(asam_trt.window(scan[5], *WINDOW))
    expected = session.sample(
        box=(28, 16, 68, 56), point_coords=[(48, 36)], point_labels=[1], n=32, image=seen
    )
    assert np.array_equal(explorer.hypotheses.masks, expected.masks)
    for name in ("mean", "entropy", "modes", "mask"):
        found = layer(explorer, name)
        assert found.data.shape == (1, 72, 96)
        assert np.allclose(found.data_to_world((0, 3, 4)), explorer.image.data_to_world((5, 3, 4)))
    assert np.array_equal(layer(explorer, "mean").data[0], expected.mean)

    explorer.viewer.dims.set_point(0, 7 + 2.5 * 8)
    assert explorer.update()
    assert explorer.hypotheses is None
    assert not layer(explorer, "mask").data.any()


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2, 1), (2, 1, 0)])
def test_axes_that_are_rolled(
    explore: Explore, session: asam_trt.Session, scan: np.ndarray, order: tuple[int, int, int]
) -> None:
    cube = np.repeat(scan, 6, axis=0)
    explorer = explore(cube, contrast_limits=WINDOW)
    explorer.viewer.dims.order = order
    hidden, rows, columns = order
    explorer.viewer.dims.set_point(hidden, 30)
    corners = np.empty((4, 3))
    corners[:, [hidden, rows, columns]] = rectangle((12, 14, 50, 48), 30)
    explorer.boxes.add_rectangles(corners)
    explorer.update()
    seen = asam_trt.window(np.moveaxis(cube, order, (0, 1, 2))[30], *WINDOW)
    expected = session.sample(box=(12, 14, 50, 48), n=32, image=session.encode(seen))
    assert np.array_equal(explorer.hypotheses.masks, expected.masks)
    kept = explorer.keep(3)
    mask = expected.modes().masks[0]
    assert mask.any()
    assert np.array_equal(np.moveaxis(kept.data, order, (0, 1, 2))[30], 3 * mask)
    assert np.count_nonzero(kept.data) == mask.sum()


def test_a_flat_layer_of_another_scale_lies_on_every_slice(explore: Explore, scan: np.ndarray) -> None:
    explorer = explore(scan, contrast_limits=WINDOW, scale=(2.5, 0.5, 0.5))
    explorer.boxes.add_rectangles(rectangle((28, 16, 68, 56), 6))
    explorer.viewer.dims.set_point(0, 2.5 * 6)
    explorer.update()
    expected = explorer.hypotheses.masks
    world = rectangle((28, 16, 68, 56)) / 2
    explorer.boxes = explorer.viewer.add_shapes(world / 4, shape_type="rectangle", scale=(4, 4))
    explorer.seed = 1
    explorer.update()
    explorer.seed = 0
    explorer.update()
    assert np.array_equal(explorer.hypotheses.masks, expected)


def test_only_what_changed_is_computed(
    explore: Explore, session: asam_trt.Session, scan: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    explorer = explore(scan, contrast_limits=WINDOW)
    explorer.viewer.dims.set_point(0, 4)
    done = calls(monkeypatch, session)
    assert not explorer.update()
    assert done == []  # nothing is asked
    explorer.boxes.add_rectangles(rectangle((28, 16, 68, 56), 4))
    assert explorer.update()
    assert not explorer.update()
    assert done == ["encode", "sample"]
    explorer.boxes.data = [rectangle((26, 16, 68, 56), 4)]
    assert explorer.update()
    explorer.pick(3)
    explorer.keep()
    assert not explorer.update()
    assert done == ["encode", "sample", "sample"]
    explorer.image.contrast_limits = (-900, 200)
    assert explorer.update()
    explorer.image.data = scan[:, ::-1].copy()
    assert explorer.update()
    assert done[3:] == ["encode", "sample"] * 2


def test_layers_say_when_they_change(session: asam_trt.Session, photo: np.ndarray) -> None:
    changes: list[int] = []
    viewer = ViewerModel()
    explorer = Explorer(viewer, lambda: changes.append(1))
    explorer.session = session
    explorer.start(viewer.add_image(photo))
    for change in (
        lambda: explorer.boxes.add_rectangles(rectangle(BOX)),
        lambda: explorer.points.add([45, 35]),
        lambda: setattr(explorer.points, "mode", "select") or turn_sign(explorer.points),
        lambda: explorer.refine(),
        lambda: explorer.clear(),
    ):
        changes.clear()
        change()
        assert changes
    changes.clear()
    explorer.boxes.add_rectangles(rectangle(BOX))
    explorer.update()
    changes.clear()
    explorer.update()
    assert not changes  # an answer asks no further question


def test_points_of_both_signs(explore: Explore, session: asam_trt.Session, photo: np.ndarray) -> None:
    explorer = explore(photo)
    explorer.points.add([45, 35])
    turn_sign(explorer.points)
    explorer.points.add([45, 85])
    explorer.update()
    image = session.encode(photo)
    asked = {"point_coords": [(35, 45), (85, 45)], "n": 32, "image": image}
    assert np.array_equal(explorer.hypotheses.masks, session.sample(point_labels=[1, 0], **asked).masks)
    assert not np.allclose(*explorer.points.face_color)

    explorer.points.mode = "select"
    explorer.points.selected_data = {1}
    turn_sign(explorer.points)
    assert explorer.update()
    assert np.array_equal(explorer.hypotheses.masks, session.sample(point_labels=[1, 1], **asked).masks)


def test_going_on_from_a_mask(explore: Explore, session: asam_trt.Session, photo: np.ndarray) -> None:
    explorer = explore(photo)
    explorer.boxes.add_rectangles(rectangle(BOX))
    explorer.update()
    first, image = explorer.hypotheses, session.encode(photo)
    explorer.pick(5)
    assert np.array_equal(layer(explorer, "mask").data > 0, first[5])
    explorer.refine()
    assert explorer.update()
    expected = session.sample(box=BOX, mask_input=first.logits[5], n=32, image=image)
    assert np.array_equal(explorer.hypotheses.masks, expected.masks)
    explorer.refine(False)
    explorer.update()
    assert np.array_equal(explorer.hypotheses.masks, first.masks)

    mask = layer(explorer, "mask")
    mask.data_setitem((np.full(30, 80), np.arange(30)), 1)  # as painted by hand
    painted = mask.data > 0
    explorer.refine()
    explorer.update()
    expected = session.sample(box=BOX, mask_input=painted, n=32, image=image)
    assert np.array_equal(explorer.hypotheses.masks, expected.masks)


def test_what_is_kept_can_be_undone(explore: Explore, photo: np.ndarray) -> None:
    explorer = explore(photo)
    explorer.boxes.add_rectangles(rectangle(BOX))
    explorer.update()
    layer(explorer, "mask").data_setitem((np.array([0]), np.array([1])), 1)
    kept = explorer.keep(2)
    first = kept.data.copy()
    assert np.array_equal(first, 2 * (layer(explorer, "mask").data > 0))
    assert first[0, 1] == 2
    explorer.viewer.layers.remove("mask")
    explorer.pick(7)
    assert explorer.keep(3) is kept
    assert (kept.data[explorer.hypotheses[7]] == 3).all()
    kept.undo()
    assert np.array_equal(kept.data, first)


def test_an_answer_goes_with_its_prompt(explore: Explore, photo: np.ndarray) -> None:
    explorer = explore(photo)
    explorer.boxes.add_rectangles(rectangle(BOX))
    explorer.update()
    explorer.clear()
    assert explorer.update()
    assert explorer.hypotheses is None
    assert not layer(explorer, "mean").data.any()
    with pytest.raises(RuntimeError, match="expected a mask to keep"):
        explorer.keep()
    assert explorer.images() == [explorer.image]


def test_the_answer_follows_the_mouse(explore: Explore, photo: np.ndarray) -> None:
    test_utils = pytest.importorskip("napari.utils._test_utils", reason="a napari without its test utilities")
    explorer = explore(photo)
    areas = []
    for i, (y, x) in enumerate([(20, 10), (45, 40), (72, 70)]):
        kind = "mouse_move" if i else "mouse_press"
        react = interactions.mouse_move_callbacks if i else interactions.mouse_press_callbacks
        place = {"position": (y, x), "pos": (y, x), "modifiers": []}
        react(explorer.boxes, test_utils.read_only_mouse_event(type=kind, is_dragging=bool(i), **place))
        assert explorer.update()
        areas.append(explorer.hypotheses.area().median)
    assert len(set(areas)) == 3
