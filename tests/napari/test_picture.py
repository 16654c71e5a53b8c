"""What the network sees of a layer."""

from __future__ import annotations

import numpy as np
import pytest

import asam_trt

pytest.importorskip("napari", reason="napari is not installed: pip install '.[napari]'")

from napari.layers import Image

from asam_trt.napari.picture import picture
from asam_trt.napari.plane import Plane

FLAT = Plane((0, 0), 0, 1)


@pytest.fixture
def greys() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (30, 40), dtype=np.uint8)


def test_bytes_stay(greys: np.ndarray) -> None:
    assert np.array_equal(picture(Image(greys), FLAT), greys)
    assert np.array_equal(picture(Image(greys, colormap="gray_r"), FLAT), 255 - greys)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32])
def test_greys_are_seen_through_the_contrast_limits(greys: np.ndarray, dtype: type) -> None:
    values = greys.astype(dtype)
    image = Image(values, contrast_limits=(50, 180))
    assert np.array_equal(picture(image, FLAT), asam_trt.window(values, 50, 180))
    image.colormap = "gray_r"
    assert np.array_equal(picture(image, FLAT), 1 - asam_trt.window(values, 50, 180))


def test_masks_are_pictures(greys: np.ndarray) -> None:
    assert np.array_equal(picture(Image(greys > 99, contrast_limits=(0, 1)), FLAT), greys > 99)


def test_a_pyramid_is_seen_at_its_finest(greys: np.ndarray) -> None:
    image = Image([greys, greys[::2, ::2]], multiscale=True, contrast_limits=(0, 255))
    assert np.array_equal(picture(image, FLAT), greys)


def test_colours(greys: np.ndarray) -> None:
    colours = np.stack([greys, 255 - greys, greys // 2], axis=2)
    assert np.array_equal(picture(Image(colours), FLAT), colours)
    assert np.allclose(picture(Image(colours.astype(np.uint16) * 257), FLAT), colours / 255)
    clear = np.dstack([colours, np.where(greys > 99, 255, 0).astype(np.uint8)])
    assert np.array_equal(
        picture(Image(clear, rgb=True), FLAT), np.where(greys[..., None] > 99, colours, np.uint8(255))
    )


def test_nothing_within_the_contrast_limits(greys: np.ndarray) -> None:
    with pytest.raises(ValueError, match="move the contrast limits of 'coins'"):
        picture(Image(greys.astype(np.int16), contrast_limits=(500, 900), name="coins"), FLAT)
