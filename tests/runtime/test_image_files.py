"""Image files with all their bits, and what is told of the rest."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from asam_trt.image_files import read_image_file
from asam_trt.intensities import OutsideWindow
from asam_trt.sources import open_source

COLOURS = {2: 4, 3: 2, 4: 6}  # channels: the colour type of a PNG


def write_png(path: Path, pixels: np.ndarray, exif: Image.Exif | None = None) -> None:
    """16 bits a channel, [H, W, 2 (grey, alpha), 3 or 4], which Pillow cannot write."""
    h, w, channels = pixels.shape
    chunks = {b"IHDR": struct.pack(">IIBBBBB", w, h, 16, COLOURS[channels], 0, 0, 0)}
    if exif is not None:
        chunks[b"eXIf"] = exif.tobytes().removeprefix(b"Exif\0\0")
    chunks |= {b"IDAT": zlib.compress(b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels))}
    chunks |= {b"IEND": b""}
    with path.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        for name, data in chunks.items():
            stream.write(struct.pack(">I", len(data)) + name + data)
            stream.write(struct.pack(">I", zlib.crc32(name + data)))


def write_tiff(path: Path, pixels: np.ndarray) -> None:
    name = {3: "rgb48le", 4: "rgba64le"}[pixels.shape[2]]
    with av.open(str(path), "w", format="image2") as container:
        stream = container.add_stream("tiff", rate=1)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = name
        frame = av.VideoFrame.from_ndarray(pixels, format=name)
        container.mux([*stream.encode(frame), *stream.encode(None)])


@pytest.fixture
def colours() -> np.ndarray:
    """uint16 [20, 30, 4], whose alpha is full."""
    pixels = np.random.default_rng(0).integers(0, 1 << 16, (20, 30, 4)).astype(np.uint16)
    pixels[..., 3] = 0xFFFF
    return pixels


@pytest.mark.parametrize(("suffix", "channels"), [("png", 3), ("png", 4), ("tif", 3), ("tif", 4)])
def test_sixteen_bits_of_colours_are_read_whole(
    tmp_path: Path, colours: np.ndarray, suffix: str, channels: int
) -> None:
    path = tmp_path / f"scan.{suffix}"
    (write_png if suffix == "png" else write_tiff)(path, colours[..., :channels])
    found = read_image_file(path, (10_000, 10_200))  # of 8 bits, hardly a value would be left between
    expected = np.clip((colours[..., :3].astype(np.float64) - 10_000) / 200, 0, 1)
    np.testing.assert_allclose(found.pixels, expected, atol=1e-6)
    assert found.remarks == []
    with pytest.raises(
        ValueError, match=rf"scan.{suffix}: .*16 bits .*of values \d+ to \d+: .*asam_trt.window"
    ):
        read_image_file(path)


def test_sixteen_bits_of_grey_with_alpha(tmp_path: Path, colours: np.ndarray) -> None:
    colours[:, :5, 3] = 0
    write_png(tmp_path / "grey.png", colours[..., 2:])
    found = read_image_file(tmp_path / "grey.png", (0, 65535))
    expected = np.where(colours[..., 3:] == 0, 1, colours[..., 2:3] / 65535).repeat(3, axis=2)
    np.testing.assert_allclose(found.pixels, expected, atol=1e-6)
    assert found.remarks == ["what is transparent is seen as white"]


@pytest.mark.parametrize("turn", range(2, 9))
def test_sixteen_bits_are_turned_upright(tmp_path: Path, colours: np.ndarray, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    write_png(tmp_path / "deep.png", colours[..., :3], exif)
    Image.fromarray((colours[..., :3] >> 8).astype(np.uint8)).save(tmp_path / "plain.png", exif=exif)
    found = read_image_file(tmp_path / "deep.png", (0, 65535)).pixels
    plain = read_image_file(tmp_path / "plain.png").pixels
    assert found.shape == plain.shape
    np.testing.assert_allclose(found, plain / 255.0, atol=1 / 255)


def test_sixteen_bits_that_two_readers_see_apart_are_refused(
    tmp_path: Path, colours: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_png(tmp_path / "scan.png", colours)
    monkeypatch.setattr("asam_trt.image_files._planes", lambda _: [colours[..., 1]] * 3)
    with pytest.raises(ValueError, match=r"scan.png: .*cannot be read whole; save it with 8 bits"):
        read_image_file(tmp_path / "scan.png", (0, 65535))


def test_cut_files_of_sixteen_bits_are_named(tmp_path: Path, colours: np.ndarray) -> None:
    path = tmp_path / "scan.png"
    write_png(path, colours)
    path.write_bytes(path.read_bytes()[:900])
    with pytest.raises(ValueError, match=r"scan.png: expected a readable image file"):
        read_image_file(path, (0, 65535))


@pytest.mark.parametrize("suffix", ["tif", "gif", "webp", "png"])
def test_pages_are_counted(tmp_path: Path, suffix: str) -> None:
    pages = [Image.fromarray(np.full((8, 9, 3), 40 * i, np.uint8)) for i in range(1, 4)]
    path = tmp_path / f"stack.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    pages[0].save(path, save_all=True, append_images=pages[1:], **options)
    found = read_image_file(path)
    assert found.remarks == ["page 1 of 3 is used"]
    assert (found.pixels == 40).all()
    pages[0].save(path, **options)
    assert read_image_file(path).remarks == []


def encode(path: Path, pixels: np.ndarray, codec: str, layout: str, **options: str) -> Path:
    """uint16 [H, W, channels] by FFmpeg: what Pillow cannot write."""
    h, w, channels = pixels.shape
    frame = av.VideoFrame(w, h, layout)
    rows = np.zeros((h, frame.planes[0].line_size // 2), "<u2" if layout.endswith("le") else ">u2")
    rows[:, : w * channels] = pixels.reshape(h, -1)
    frame.planes[0].update(rows.tobytes())
    with av.open(path, "w", format="image2") as container:
        stream = container.add_stream(codec, rate=1, options=options)
        stream.width, stream.height, stream.pix_fmt = w, h, layout
        container.mux([*stream.encode(frame), *stream.encode()])
    return path


SHAPES = {"P5": (9, 12), "P2": (9, 12), "P6": (9, 12, 3), "P3": (9, 12, 3)}


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("white", [65535, 1023, 255])
def test_netpbm_is_read_in_its_own_values(tmp_path: Path, kind: str, white: int) -> None:
    values = np.random.default_rng(2).integers(0, white + 1, SHAPES[kind])
    path = tmp_path / "a.ppm"
    head = f"{kind}\n# of a microscope\n12 9 # w h\n{white}\n".encode()
    if kind in ("P2", "P3"):
        path.write_bytes(head + b"# values\n" + b"\n".join(str(v).encode() for v in values.flat) + b"\n")
    else:
        path.write_bytes(head + values.astype(">u2" if white > 255 else "u1").tobytes())
    low, high = white / 4, white / 2
    expected = np.clip((values - low) / (high - low), 0, 1)
    found = read_image_file(path, (low, high))
    expected = expected if values.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    np.testing.assert_allclose(found.pixels, expected, atol=1e-5)
    if white > 255:
        with pytest.raises(
            ValueError, match=rf"a\.ppm: .*of values {values.min()} to {values.max()}: choose"
        ):
            read_image_file(path)


def test_netpbm_that_is_damaged(tmp_path: Path) -> None:
    values = np.full((9, 12, 3), 600, ">u2").tobytes()
    for content, said in (
        (b"P6 12 9 1000\n" + values[:-2], "."),
        (b"P6 12 9 500\n" + values, "expected values up to 500, came 600"),
        (b"P3 12 9 1000\n" + b"600 " * 323, "."),
        (b"P6 999999999 999999999 1000\n" + values, "."),
    ):
        (tmp_path / "a.ppm").write_bytes(content)
        with pytest.raises(ValueError, match=rf"a\.ppm: .*{said}"):
            read_image_file(tmp_path / "a.ppm", (0, 1000))


@pytest.mark.parametrize(
    ("name", "codec", "layout", "options"),
    [
        ("a.sgi", "sgi", "rgb48be", {"rle": "0"}),
        ("a.sgi", "sgi", "gray16be", {"rle": "0"}),
        ("a.jp2", "jpeg2000", "rgb48le", {"pred": "dwt53"}),
        ("a.j2k", "jpeg2000", "rgb48le", {"pred": "dwt53", "format": "j2k"}),
    ],
)
def test_other_pictures_of_sixteen_bits_are_read_whole(
    tmp_path: Path, name: str, codec: str, layout: str, options: dict[str, str]
) -> None:
    channels = 3 if layout.startswith("rgb") else 1
    values = np.random.default_rng(3).integers(0, 65536, (20, 30, channels)).astype(np.uint16)
    path = encode(tmp_path / name, values, codec, layout, **options)
    with pytest.raises(
        ValueError, match=f"came 16 bits a channel, of values {values.min()} to {values.max()}"
    ):
        read_image_file(path)
    found = read_image_file(path, (30000, 30300))  # a little more than one of 256 steps
    expected = np.clip((values - 30000.0) / 300, 0, 1)
    np.testing.assert_allclose(found.pixels, np.broadcast_to(expected, found.pixels.shape), atol=1e-4)


def test_other_depths_of_jpeg_2000_are_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(3).integers(0, 4096, (20, 30, 3)).astype(np.uint16)
    path = encode(tmp_path / "a.jp2", values, "jpeg2000", "rgb48le")
    content = bytearray(path.read_bytes())
    sizes = content.index(b"\xff\x4f\xff\x51") + 42
    assert content[sizes : sizes + 9 : 3] == bytes([15] * 3)
    content[sizes : sizes + 9 : 3] = bytes([11] * 3)
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=r"a\.jp2: .*more bits a channel, in a form that cannot be read whole"
    ):
        read_image_file(path, (0, 4095))


def test_a_window_over_eight_bits_is_told(tmp_path: Path) -> None:
    path = tmp_path / "grey.png"
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(path)
    found = read_image_file(path, (-1000, 400))  # meant for the scan that it was made from
    assert found.remarks == ["the window is of its values 0 to 255: the file has 8 bits"]
    assert found.pixels.min() == pytest.approx(1000 / 1400)


def test_pictures_that_belong_to_a_photo_are_no_pages(tmp_path: Path) -> None:
    photo = Image.fromarray(np.zeros((64, 64, 3), np.uint8))
    photo.save(tmp_path / "phone.jpg", format="MPO", save_all=True, append_images=[photo.resize((8, 8))])
    assert read_image_file(tmp_path / "phone.jpg").remarks == []


@pytest.mark.parametrize(("alpha", "seen"), [(255, 55), (0, 255), (51, 215)])
def test_transparency_is_told_where_there_is_any(tmp_path: Path, alpha: int, seen: int) -> None:
    pixels = np.full((6, 5, 4), 255, np.uint8)
    pixels[2, 3] = 55, 55, 55, alpha
    Image.fromarray(pixels).save(tmp_path / "icon.png")
    found = read_image_file(tmp_path / "icon.png")
    assert found.pixels[2, 3].tolist() == [seen] * 3
    assert found.remarks == ([] if alpha == 255 else ["what is transparent is seen as white"])


@pytest.mark.parametrize("name", ["scan.dcm", "scan.nii.gz", "scan.npy"])
def test_what_is_no_image_says_what_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\0" * 128 + b"DICM, say")
    with pytest.raises(
        ValueError, match=rf"{name}: expected an image file \(PNG, .*scans .*asam_trt.read_volume"
    ):
        read_image_file(tmp_path / name)


def test_a_folder_tells_once_what_is_left_out(tmp_path: Path) -> None:
    air, scan = (np.full((8, 9), value, np.uint16) for value in (10, 1000))
    Image.fromarray(scan).save(tmp_path / "0.tif")
    for name in ("1.tif", "2.tif"):
        page = Image.fromarray(air)
        page.save(tmp_path / name, save_all=True, append_images=[page] * 4)
    source = open_source(tmp_path, window=(500, 1500))
    assert [float(frame.image.max()) for frame in source.frames()] == [0.5, 0, 0]
    (black,) = source.remarks
    assert black.endswith(
        "images without a value in the window are all black or all white; the first is 1.tif"
    )
    source = open_source(tmp_path, window=(0, 2000))
    assert [round(float(frame.image.max()), 3) for frame in source.frames()] == [0.5, 0.005, 0.005]
    (pages,) = source.remarks
    assert pages.endswith("page 1 is used of images with several pages; the first is 1.tif")


def test_the_first_image_of_a_folder_lies_in_the_window(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 9), 10, np.uint16)).save(tmp_path / "0.tif")
    with pytest.raises(ValueError, match=r"0.tif: .*values, 10 to 10, came 500 to 1500") as stop:
        next(iter(open_source(tmp_path, window=(500, 1500)).frames()))
    assert isinstance(stop.value.__cause__, OutsideWindow)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes among the files here")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "photo.png")
    with pytest.raises(ValueError, match=r"photo\.png: expected an image file, came a pipe or a device"):
        read_image_file(tmp_path / "photo.png")
