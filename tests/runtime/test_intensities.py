"""A window of values beyond 8 bits as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import asam_trt
from asam_trt.pictures import read_picture
from asam_trt.sources import open_source


def test_a_window_is_linear_and_clips() -> None:
    values = np.array([[-2000, -1000, -300], [400, 500, 32767]], np.int16)
    found = asam_trt.window(values, -1000, 400)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, [[0, 0, 0.5], [1, 1, 1]], atol=1e-7)


@pytest.mark.parametrize(
    ("suffix", "kind"), [("png", np.uint16), ("tif", np.uint16), ("tif", np.int32), ("tif", np.float32)]
)
def test_a_deep_file_is_read_through_a_window(tmp_path: Path, suffix: str, kind: Any) -> None:
    values = (np.arange(12).reshape(3, 4) * 5000).astype(kind)
    path = tmp_path / f"scan.{suffix}"
    Image.fromarray(values).save(path)
    found = read_picture(path, (10_000, 40_000))
    expected = np.clip((values.astype(np.float64) - 10_000) / 30_000, 0, 1)
    np.testing.assert_allclose(found, np.repeat(expected[:, :, None], 3, axis=2), atol=1e-6)
    with pytest.raises(ValueError, match=rf"scan.{suffix}: .* of values 0 to 55000: .*asam_trt.window"):
        read_picture(path)


def test_a_window_stretches_a_picture_of_eight_bits_too(tmp_path: Path) -> None:
    values = np.arange(0, 240, 20, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(values).save(tmp_path / "grey.png")
    found = read_picture(tmp_path / "grey.png", (100, 200))
    np.testing.assert_allclose(found[..., 1], np.clip((values - 100.0) / 100, 0, 1), atol=1e-6)


@pytest.mark.parametrize(
    ("image", "limits", "error", "words"),
    [
        (np.zeros((2, 2)), (4, 4), ValueError, "low < high, came 4 and 4"),
        (np.zeros((2, 2)), (0, float("nan")), ValueError, "finite high"),
        (np.zeros((2, 2)), ("0", 1), TypeError, "low to be a number"),
        (np.full((2, 2), np.inf), (0, 1), ValueError, "finite image values"),
        (np.zeros((2, 2), np.complex64), (0, 1), TypeError, "complex64"),
        ("scan.png", (0, 1), TypeError, "path"),
        (
            np.array([[-835, 229]], np.int16),
            (5000, 6000),
            ValueError,
            "values, -835 to 229, came 5000 to 6000",
        ),
        (
            np.array([[-835, 229]], np.int16),
            (-2000, -836),
            ValueError,
            "values, -835 to 229, came -2000 to -836",
        ),
        (np.full((2, 2), 7, np.uint8), (8, 9), ValueError, "values, 7 to 7, came 8 to 9"),
    ],
)
def test_what_is_no_window(image: Any, limits: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        asam_trt.window(image, *limits)


def test_a_window_may_touch_the_values_and_hold_a_single_one() -> None:
    np.testing.assert_array_equal(asam_trt.window(np.full((2, 2), 7), 0, 14), np.full((2, 2), 0.5))
    np.testing.assert_array_equal(asam_trt.window(np.zeros((2, 2)), 0, 1), np.zeros((2, 2)))
    volume = np.stack([np.full((2, 2), -1000), np.full((2, 2), 40)])  # air, then a body
    np.testing.assert_allclose(asam_trt.window(volume, -160, 240)[:, 0, 0], [0, 0.5])


def test_frames_of_a_folder_are_seen_through_a_window(tmp_path: Path) -> None:
    for i in range(2):
        Image.fromarray(np.full((4, 5), 1000 * (i + 1), np.uint16)).save(tmp_path / f"{i}.png")
    frames = list(open_source(tmp_path, window=(0, 4000)).frames())
    assert [float(frame.image.max()) for frame in frames] == [0.25, 0.5]
    with pytest.raises(ValueError, match="window with a folder of images"):
        open_source(str(tmp_path / "0.png"), window=(0, 4000))
