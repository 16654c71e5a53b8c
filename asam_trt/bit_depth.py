"""How many bits a channel of an image file has: Pillow's modes of colour have 8, whatever the file has."""

from __future__ import annotations

import os

from PIL import Image

from asam_trt.netpbm import largest_value

_PNG_DEPTH = 24  # where a PNG says how many bits a channel has
_TIFF_DEPTH = 258  # tag BitsPerSample
_SGI_BYTES = 3  # where an SGI file says how many bytes a channel has
_HEADER = 1 << 16  # bytes in which the code of a JPEG 2000 begins
_SIZES = b"\xff\x4f\xff\x51"  # its begin, with the marker of the image's sizes
_CHANNELS = 36  # bytes behind these to the number of channels, in two bytes; three of each channel follow
_PRECISION = 0x7F  # bits, less 1; the other bit is a sign


def bit_depth(path: str | os.PathLike[str], image: Image.Image) -> int:
    """Bits a channel where the file's format says so plainly, else 8.

    Args:
        image: the file, opened by Pillow.

    Raises:
        OSError: it cannot be read.
        ValueError: a damaged header.
    """
    if image.format == "TIFF":
        return int(max(image.tag_v2.get(_TIFF_DEPTH, (8,))))  # type: ignore[attr-defined]
    if image.format not in ("PNG", "PPM", "SGI", "JPEG2000"):
        return 8
    with open(path, "rb") as stream:
        header = stream.read(_HEADER)
    if image.format == "PNG":
        return header[_PNG_DEPTH]
    if image.format == "SGI":
        return 8 * header[_SGI_BYTES]
    if image.format == "PPM":
        return max(8, largest_value(header).bit_length())
    _, _, sizes = header.partition(_SIZES)
    first = _CHANNELS + 2
    channels = int.from_bytes(sizes[_CHANNELS:first], "big")
    return max([8, *(1 + (bits & _PRECISION) for bits in sizes[first : first + 3 * channels : 3])])
