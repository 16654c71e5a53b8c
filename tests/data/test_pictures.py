"""Image files of a data set: upright, and masks whose values are read as they are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from asam.data import DataError, check
from asam.data.files import image_size, read_image, read_mask

LYING = (5, 6, 7, 8)
# Of EXIF's orientations, what makes the picture upright.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[:, ::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[::-1],
}
OBJECT = np.zeros((12, 20), bool)
OBJECT[2:5, 3:11] = True


def turned(path: Path, pixels: np.ndarray, orientation: int) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    options = {"lossless": True} if path.suffix == ".webp" else {}
    Image.fromarray(pixels).save(path, exif=exif, **options)
    return path


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
def test_pictures_and_masks_are_read_upright(tmp_path: Path, suffix: str, orientation: int) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    path = turned(tmp_path / f"a.{suffix}", picture, orientation)
    expected = UPRIGHT[orientation](picture)
    np.testing.assert_array_equal(read_image(path), expected)
    assert image_size(path) == expected.shape[:2]
    mask = turned(tmp_path / f"m.{suffix}", OBJECT.astype(np.uint8) * 255, orientation)
    np.testing.assert_array_equal(read_mask(mask, expected.shape), UPRIGHT[orientation](OBJECT))


def test_a_photo_of_a_turned_camera_fits_its_upright_masks(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "masks" / "a").mkdir(parents=True)
    turned(tmp_path / "images" / "a.jpg", np.zeros((12, 20, 3), np.uint8), 6)
    mask = tmp_path / "masks" / "a" / "one.png"
    Image.fromarray(OBJECT.T).save(mask)
    report = check(tmp_path)
    assert (report.problems, dict(report.sizes)) == ((), {(20, 12): 1})
    Image.fromarray(OBJECT).save(mask)
    (problem,) = check(tmp_path).problems
    assert problem.problem == "mask is 20 x 12 (w x h), its image 12 x 20"


def test_damaged_exif_data_leave_a_picture_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Image.new("RGB", (20, 12)).save(path, exif=b"Exif\0\0no such thing")
    assert read_image(path).shape == (12, 20, 3)
    assert image_size(path) == (12, 20)


def in_a_palette(inside: int, colors: dict[int, tuple[int, int, int]], outside: int = 0) -> Image.Image:
    picture = Image.fromarray(np.where(OBJECT, inside, outside).astype(np.uint8), "L").convert("P")
    picture.putdata(np.where(OBJECT, inside, outside).ravel().tolist())
    picture.putpalette([value for i in range(256) for value in colors.get(i, (0, 0, 0))])
    return picture


def with_alpha(colors: np.ndarray, alpha: np.ndarray) -> Image.Image:
    picture = Image.fromarray(np.repeat(colors.astype(np.uint8)[..., None], 3, axis=2)).convert("RGBA")
    picture.putalpha(Image.fromarray(alpha.astype(np.uint8)))
    return picture


def blue() -> Image.Image:
    return Image.fromarray(np.stack([OBJECT * 0, OBJECT * 0, OBJECT * 3], axis=2).astype(np.uint8))


MASKS = {
    "bits.png": lambda: Image.fromarray(OBJECT),
    "half.tif": lambda: Image.fromarray(OBJECT * np.float32(0.5)),
    "negative.tif": lambda: Image.fromarray(np.where(OBJECT, -1, 0).astype(np.int32)),
    "deep.png": lambda: Image.fromarray(OBJECT.astype(np.uint16) * 40_000),
    "nearly black.png": blue,
    "black palette.png": lambda: in_a_palette(1, {}),
    "red in a palette.png": lambda: in_a_palette(1, {1: (128, 0, 0)}),
    "white before black.png": lambda: in_a_palette(0, {0: (255, 255, 255)}, outside=1),
    "grey without black.png": lambda: in_a_palette(1, {0: (9, 9, 9), 1: (200, 0, 0)}),
    "alpha alone.png": lambda: with_alpha(OBJECT * 0, OBJECT * 255),
    "white with alpha.png": lambda: with_alpha(OBJECT * 0 + 255, OBJECT * 255),
    "opaque.png": lambda: with_alpha(OBJECT * 255, OBJECT * 0 + 255),
    "both.png": lambda: with_alpha(OBJECT * 255, OBJECT * 255),
    "grey with alpha.png": lambda: with_alpha(OBJECT * 0, OBJECT * 255).convert("LA"),
}


@pytest.mark.parametrize("name", MASKS)
def test_no_object_is_read_as_nothing(tmp_path: Path, name: str) -> None:
    MASKS[name]().save(tmp_path / name)
    np.testing.assert_array_equal(read_mask(tmp_path / name, OBJECT.shape), OBJECT)


def test_a_transparent_place_of_a_palette_is_outside(tmp_path: Path) -> None:
    in_a_palette(1, {0: (9, 9, 9), 1: (200, 0, 0)}).save(tmp_path / "a.png", transparency=0)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png", OBJECT.shape), OBJECT)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (with_alpha(OBJECT * 255, OBJECT.T.reshape(OBJECT.shape) * 255), "save it without transparency"),
        (Image.fromarray(np.where(OBJECT, np.nan, 0).astype(np.float32)), "got NaN or infinity"),
        (Image.fromarray(OBJECT * np.linspace(0.1, 1, 20, dtype=np.float32)), "one value besides 0, got 8"),
        (in_a_palette(2, {}, outside=1), "got 2 (1, 2, ...)"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path: Path, picture: Image.Image, message: str) -> None:
    path = tmp_path / ("a.tif" if picture.mode == "F" else "a.png")
    picture.save(path)
    with pytest.raises(DataError) as caught:
        read_mask(path, OBJECT.shape)
    assert message in str(caught.value)
    assert caught.value.path == path


@pytest.mark.usefixtures("within_a_minute")
def test_a_pipe_is_not_waited_for(write) -> None:
    root = write("folder")
    pipes = root / "masks" / "img0" / "bert.png", root / "images" / "img1.png"
    for pipe in pipes:
        pipe.unlink()
        os.mkfifo(pipe)
    problems = check(root).problems
    assert {problem.path for problem in problems} == {*pipes}
    assert all(problem.problem.startswith("expected a file, got") for problem in problems)


def test_what_cannot_be_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: cannot be read: Too many levels of symbolic links"):
        read_image(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"b\.png: not found"):
        read_image(tmp_path / "b.png")
