from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from segment_anything.utils.transforms import ResizeLongestSide

from asam_trt import _ops
from asam_trt.geometry import MAX_IMAGE_SIDE, Frame, as_image, check_box, check_points, resize_image

SIZES = [(480, 854, 128), (100, 37, 128), (128, 128, 128), (33, 500, 256), (300, 225, 1024), (1, 1, 16)]


def random_image(h: int, w: int) -> np.ndarray:
    return np.random.default_rng(h * w).integers(0, 256, (h, w, 3), dtype=np.uint8)


@pytest.mark.parametrize(("h", "w", "side"), SIZES)
def test_uint8_resize_equals_segment_anything(h: int, w: int, side: int) -> None:
    image = random_image(h, w)
    expected = ResizeLongestSide(side).apply_image(image)
    pixels, frame = resize_image(image, side)
    ih, iw = frame.input
    assert frame == Frame((h, w), expected.shape[:2], side)
    np.testing.assert_array_equal(pixels[:, :ih, :iw].transpose(1, 2, 0), expected)
    assert not pixels[:, ih:].any()
    assert not pixels[:, :, iw:].any()


@settings(max_examples=200, deadline=None)
@given(
    size=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    to=st.tuples(st.integers(1, 300), st.integers(1, 300)),
    seed=st.integers(0, 2**31),
    extremes=st.booleans(),
)
def test_resize_equals_pillow_rows_first(
    size: tuple[int, int], to: tuple[int, int], seed: int, extremes: bool
) -> None:
    """Two calls, as Pillow 13 takes the columns first where many of the rows go."""
    image = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    if extremes:
        image = np.where(image > 127, 255, 0).astype(np.uint8)
    bilinear = Image.Resampling.BILINEAR
    expected = Image.fromarray(image).resize((to[1], size[0]), bilinear).resize((to[1], to[0]), bilinear)
    np.testing.assert_array_equal(_ops.resize_image(image, to), np.asarray(expected))


def test_resize_does_not_depend_on_threads() -> None:
    image, before = random_image(700, 900), _ops.get_num_threads()
    found = []
    try:
        for threads in (1, 3):
            _ops.set_num_threads(threads)
            found.append(resize_image(image, 128, mean=(10, 20, 30), std=(2, 4, 5))[0])
    finally:
        _ops.set_num_threads(before)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("size", [(0, 9), (9, 0), (-1, 9), (9, (1 << 20) + 1)])
def test_sizes_that_no_picture_has_are_refused(size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="expected"):
        _ops.resize_image(random_image(9, 9), size)
    with pytest.raises(ValueError, match="expected"):
        _ops.resize_image(random_image(9, 9)[:0], (9, 9))
    with pytest.raises(ValueError, match="expected"):
        _ops.model_input(random_image(9, 9), 8, np.zeros((3, 256), np.float32))
    with pytest.raises(ValueError, match="expected"):
        _ops.model_input(random_image(9, 9), -1, np.zeros((3, 256), np.float32))


@pytest.mark.parametrize(("h", "w", "side"), SIZES)
def test_float_resize_is_within_rounding_of_uint8(h: int, w: int, side: int) -> None:
    image = random_image(h, w)
    exact, _ = resize_image(image, side)
    # Pillow rounds uint8 after each of its two passes.
    for dtype, extra in ((np.float32, 0.0), (np.float64, 0.0), (np.float16, 0.2)):
        found, _ = resize_image((image / 255).astype(dtype), side)
        assert np.abs(found - exact).max() <= 1.01 + extra


def test_normalisation_happens_before_the_padding() -> None:
    pixels, frame = resize_image(np.full((16, 32, 3), 100, np.uint8), 32, mean=(10, 20, 30), std=(2, 4, 5))
    ih = frame.input[0]
    np.testing.assert_array_equal(pixels[:, 0, 0], [45, 20, 14])
    assert not pixels[:, ih:].any()


@pytest.mark.parametrize(("h", "w", "side"), SIZES)
def test_coordinates_equal_segment_anything_and_come_back(h: int, w: int, side: int) -> None:
    frame = Frame.of(h, w, side)
    xy = np.random.default_rng(1).uniform(0, (w, h), (7, 2))
    expected = ResizeLongestSide(side).apply_coords(xy, (h, w)).astype(np.float32)
    np.testing.assert_array_equal(frame.to_model_coords(xy), expected)
    np.testing.assert_allclose(frame.to_user_coords(frame.to_model_coords(xy)), xy, rtol=1e-5, atol=1e-5)
    box = np.array([0, 0, w, h])
    np.testing.assert_allclose(frame.to_model_boxes(box), [0, 0, frame.input[1], frame.input[0]], rtol=1e-6)
    assert frame.to_model_boxes(np.stack([box, box])).shape == (2, 4)


def test_every_kind_of_image_gives_the_same_array() -> None:
    image = random_image(20, 30)
    for other in (Image.fromarray(image), torch.from_numpy(image), np.flip(np.flip(image).copy())):
        np.testing.assert_array_equal(as_image(other), image)
    grey = image[:, :, 0]
    np.testing.assert_array_equal(as_image(grey), np.stack([grey] * 3, axis=2))
    np.testing.assert_array_equal(as_image(Image.fromarray(grey)), np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_is_transparent_is_white(mode: str) -> None:
    picture = Image.new("RGBA", (6, 4), (0, 0, 0, 0))
    picture.paste((20, 20, 20, 255), (0, 0, 3, 4))
    found = as_image(picture.convert(mode))
    assert (found[:, 3:] == 255).all()
    assert (found[:, :3] == 20).all()


def test_dlpack_alone_is_enough() -> None:
    class Wrapped:
        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor

        def __dlpack__(self, **options: Any) -> Any:
            return self.tensor.__dlpack__(**options)

        def __dlpack_device__(self) -> Any:
            return self.tensor.__dlpack_device__()

    image = random_image(9, 8)
    np.testing.assert_array_equal(as_image(Wrapped(torch.from_numpy(image))), image)


class OnGpu:
    __cuda_array_interface__: dict[str, Any] = {}  # noqa: RUF012 (the protocol asks for an attribute)


@pytest.mark.parametrize(
    ("image", "error", "words"),
    [
        (np.zeros((4, 5, 3), np.int64), TypeError, "uint8 or floating point.*int64"),
        (np.zeros((4, 5, 3), bool), TypeError, "bool"),
        (
            np.full((4, 5, 3), 9, np.uint16),
            TypeError,
            r"uint16 of values 9 to 9; choose the window .* asam_trt.window\(image, low, high\)",
        ),
        (np.zeros((4, 5, 3), complex), TypeError, "complex"),
        (np.zeros((4, 5, 4), np.uint8), ValueError, "alpha"),
        (np.zeros((3, 4, 5), np.uint8), ValueError, "channels last"),
        (np.zeros((4, 5, 1), np.uint8), ValueError, "last axis"),
        (np.zeros((1, 4, 5, 3), np.uint8), ValueError, "one image at a time"),
        (np.zeros((0, 5, 3), np.uint8), ValueError, r"\[0, 5, 3\]"),
        (np.zeros(7, np.uint8), ValueError, r"\[7\]"),
        (np.full((4, 5, 3), np.nan, np.float32), ValueError, "NaN"),
        (np.full((4, 5, 3), np.inf), ValueError, "infinity"),
        (np.full((4, 5, 3), 200.0), ValueError, "200"),
        (np.full((4, 5), -0.1), ValueError, "-0.1"),
        ("photo.png", TypeError, "path"),
        (None, TypeError, "NoneType"),
        (object(), TypeError, "object"),
        (OnGpu(), TypeError, "whole __cuda_array_interface__"),
        (torch.zeros(4, 5, 3, requires_grad=True), TypeError, "detach"),
        (Image.new("I;16", (4, 5)), TypeError, "I;16"),
    ],
)
def test_what_is_no_image_is_refused(image: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=rf"expected.*{words}"):
        as_image(image)


@pytest.mark.parametrize(("h", "w"), [(0, 5), (5, 0), (1, MAX_IMAGE_SIDE + 1), (1, 1000)])
def test_impossible_sizes_are_refused(h: int, w: int) -> None:
    with pytest.raises(ValueError, match="expected"):
        Frame.of(h, w, 128)


@pytest.mark.parametrize(
    ("box", "error"),
    [
        ((1, 2, 3), ValueError),
        ((5, 5, 5, 9), ValueError),
        ((9, 1, 2, 8), ValueError),
        ((1, 1, np.nan, 8), ValueError),
        ((1, 1, np.inf, 8), ValueError),
        ((-9, -9, -1, -1), ValueError),
        ((30, 1, 40, 8), ValueError),
        ((0, 0, 1e30, 1e30), ValueError),
        ("abcd", TypeError),
        ((1, 2, 3, None), TypeError),
        ((1, 2, (3, 4), 5), ValueError),
        (True, TypeError),
    ],
)
def test_bad_boxes_are_refused(box: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"expected (a |finite )?box"):
        check_box(box, Frame.of(20, 30, 128))


def test_a_box_may_reach_over_the_edge() -> None:
    np.testing.assert_array_equal(check_box([-3, -2, 31, 25], Frame.of(20, 30, 128)), [-3, -2, 31, 25])


@pytest.mark.parametrize(
    ("coords", "labels", "error"),
    [
        ([[1, 2]], [1, 0], ValueError),
        ([[1, 2]], [2], ValueError),
        ([[1, 2]], [-1], ValueError),
        ([1, 2], [1], ValueError),
        (np.zeros((0, 2)), [], ValueError),
        ([[1, np.nan]], [1], ValueError),
        ([[31, 2]], [1], ValueError),
        ([[1, -1]], [1], ValueError),
        ([["a", "b"]], [1], TypeError),
        (np.zeros((5000, 2)), np.ones(5000), ValueError),
    ],
)
def test_bad_points_are_refused(coords: Any, labels: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="expected"):
        check_points(coords, labels, Frame.of(20, 30, 128))
