"""Image files as a command reads them: with all their bits, and what of them is left out."""

from __future__ import annotations

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from asam_trt import intensities
from asam_trt.bit_depth import bit_depth
from asam_trt.geometry import as_image
from asam_trt.netpbm import read_netpbm
from asam_trt.pictures import BROKEN, Window, open_picture, read_picture

_PAGES = (
    "TIFF",
    "GIF",
    "PNG",
    "WEBP",
    "AVIF",
)  # formats of pages; what others have beside the picture belongs to it
_WHITE = 0xFFFF
_WHOLE = 16  # bits that FFmpeg gives as they are: it stretches fewer


@dataclass(frozen=True, eq=False)
class ImageFile:
    """What was read.

    Attributes:
        pixels: uint8 or float32 [H, W, 3], as `Session.set_image` takes them; what is transparent is white.
        pages: of the file; the first is read.
        transparent: whether it has transparent pixels.
        narrowed: whether a window was laid over a file of 8 bits, which needs none.
    """

    pixels: npt.NDArray[Any]
    pages: int = 1
    transparent: bool = False
    narrowed: bool = False

    @property
    def remarks(self) -> list[str]:
        """What is not in the pixels, in words."""
        narrowed = ["the window is of its values 0 to 255: the file has 8 bits"] if self.narrowed else []
        return _of_pages(self.pages) + ["what is transparent is seen as white"] * self.transparent + narrowed


def read_image_file(path: str | os.PathLike[str], window: Window | None = None) -> ImageFile:
    """An image file, upright, through a window of its own values where it has more than 8 bits.

    Args:
        window: (low, high), see `asam_trt.window`. Colours of 16 bits, which Pillow cuts to 8, are read whole, and
            files of Netpbm in their own values, which Pillow stretches.

    Raises:
        ValueError: names the file: unreadable, of more than 8 bits without a window, with a window that is none or
            that holds none of its values (then `__cause__` is an `OutsideWindow`), or of 16 bits a channel in a way
            that neither Pillow nor FFmpeg knows.
    """
    place = Path(path)
    if place.exists() and not (place.is_file() or place.is_dir()):
        raise ValueError(
            f"{path}: expected an image file, came a pipe or a device, which would be waited for"
        )
    header = _header(path)
    pixels = _deep_colour(path, window, header) if header.cut else read_picture(path, window)
    narrowed = window is not None and header.depth == 8
    return ImageFile(pixels, header.pages, header.transparent, narrowed)


def remarks_on_mask(path: str | os.PathLike[str]) -> list[str]:
    """What is left out of a picture that was read as a mask, in words."""
    return _of_pages(_header(path).pages)


def _of_pages(pages: int) -> list[str]:
    return [f"page 1 of {pages} is used"] if pages > 1 else []


class _Header(NamedTuple):
    """What a file says of itself; of a damaged one the usual.

    depth: bits a channel. kind: Pillow's name of the format. cut: whether Pillow leaves other values than the file's.
    """

    pages: int = 1
    transparent: bool = False
    depth: int = 8
    kind: str | None = None
    cut: bool = False


def _header(path: str | os.PathLike[str]) -> _Header:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                deep, depth = intensities.is_deep(image), bit_depth(path, image)
                cut = depth > 8 and (not deep or image.format == "PPM")
                pages = getattr(image, "n_frames", 1) if image.format in _PAGES else 1
                return _Header(pages, _is_transparent(image), max(depth, 16 * deep), image.format, cut)
    except UnidentifiedImageError as error:
        raise ValueError(
            f"{path}: expected an image file (PNG, JPEG, TIFF, BMP, GIF, WebP), came one of another kind; scans "
            "(NIfTI, DICOM, .npy) are read by `asam sample --slice`, `asam volume` and asam_trt.read_volume"
        ) from error
    except BROKEN:
        return _Header()  # reading it says what is wrong


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    least, _ = image.convert("RGBA").getchannel("A").getextrema()
    return bool(least < 255)  # type: ignore[operator]


def _deep_colour(path: str | os.PathLike[str], window: Window | None, header: _Header) -> npt.NDArray[Any]:
    seen = open_picture(path)
    if header.kind == "PPM":
        values: npt.NDArray[Any] = read_netpbm(path)
    elif header.depth != _WHOLE:
        raise _unknown(path)
    else:
        values = _over_white(_all_bits(path, seen), alpha=seen.has_transparency_data)
    if window is None:
        raise ValueError(
            f"{path}: expected an 8-bit image, came {header.depth} bits a channel, of values {values.min():g} to "
            f"{values.max():g}: choose the window of values to be seen with asam_trt.window(image, low, high)"
        )
    try:
        return as_image(intensities.window(values, *window))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _all_bits(path: str | os.PathLike[str], seen: Image.Image) -> npt.NDArray[np.uint16]:
    """uint16 [H, W, 3 or 4] by FFmpeg, turned and checked as Pillow sees it in 8 bits."""
    import av  # a tenth of a second, for these files alone

    try:
        with av.open(os.path.abspath(path)) as container:
            frame = next(container.decode(video=0))
        with Image.open(path) as image:
            turn = image.getexif().get(ExifTags.Base.Orientation, 1)
        planes = [_turned(plane, turn) for plane in _planes(frame)]
    except (av.error.FFmpegError, StopIteration, *BROKEN) as error:
        raise _unknown(path) from error
    found = np.stack(planes if len(planes) > 2 else [planes[0]] * 3 + planes[1:], axis=2)
    check = np.asarray(seen.convert("RGB"))
    # They differ where a file is unusual: premultiplied, say. Pillow rounds JPEG 2000 up, and white over to 0.
    if found.shape[:2] != check.shape[:2] or (check - (found[..., :3] >> 8).astype(np.uint8) > 1).any():
        raise _unknown(path)
    return found


def _planes(frame: Any) -> list[npt.NDArray[np.uint16]]:
    """The channels of a frame of 16-bit numbers, side by side or a plane each, uint16 [H, W] each.

    Raises:
        ValueError: it has another layout.
    """
    parts = frame.format.components
    channels = len(parts)
    if len(frame.planes) not in (1, channels) or any(part.bits != 16 for part in parts):
        raise ValueError(f"expected 16 bits a channel, came {frame.format.name}")
    beside = channels // len(frame.planes)
    order = ">u2" if frame.format.is_big_endian else "<u2"
    found = []
    for i, part in enumerate(parts):
        rows = np.frombuffer(frame.planes[part.plane], order).reshape(frame.height, -1)
        found.append(rows[:, i % beside : frame.width * beside : beside].astype(np.uint16))
    return found


def _turned(plane: npt.NDArray[np.uint16], turn: int) -> npt.NDArray[np.uint16]:
    picture = Image.fromarray(np.ascontiguousarray(plane))
    picture.getexif()[ExifTags.Base.Orientation] = turn
    return np.asarray(ImageOps.exif_transpose(picture), np.uint16)


def _over_white(pixels: npt.NDArray[np.uint16], *, alpha: bool) -> npt.NDArray[Any]:
    """[H, W, 3 or 4] -> [H, W, 3]: c a + white (1 - a), where there is an alpha a from 0 to 1."""
    colours = pixels[..., :3]
    if not alpha or pixels.shape[2] < 4:
        return colours
    share = pixels[..., 3:].astype(np.float32) / _WHITE
    return np.asarray(colours * share + _WHITE * (1 - share), np.float32)


def _unknown(path: str | os.PathLike[str]) -> ValueError:
    return ValueError(
        f"{path}: expected an 8-bit image, came more bits a channel, in a form that cannot be read whole; save it with "
        "8 bits, or as a plain 16-bit RGB PNG"
    )
