"""Grey and colour pictures of Netpbm (.pgm, .ppm) with all their bits, in their own values."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

_GAP = rb"(?:\s|#[^\r\n]*[\r\n])+"
_HEADER = re.compile(rb"P([2356])" + 3 * (_GAP + rb"(\d{1,9})") + rb"\s")
_COMMENT = re.compile(rb"#[^\r\n]*")
_MOST = 65535


class _Header(NamedTuple):
    plain: bool  # numbers as text
    shape: tuple[int, ...]  # [H, W] or [H, W, 3]
    largest: int  # value of white
    end: int


def largest_value(content: bytes) -> int:
    """The value of white that a file of Netpbm says, 1 to 65,535; 255 of its other kinds.

    Args:
        content: of the file, from its begin.
    """
    found = _header(content)
    return 255 if found is None else found.largest


def read_netpbm(path: str | os.PathLike[str]) -> npt.NDArray[np.uint16]:
    """uint16 [H, W] of grey or [H, W, 3] of RGB, not scaled.

    Raises:
        ValueError: names the file: of another kind, cut short, or with values beyond its white.
        OSError: it cannot be read.
    """
    content = Path(path).read_bytes()
    header = _header(content)
    if header is None:
        raise ValueError(f"{path}: expected a picture of Netpbm, grey or in colour, came another kind")
    count = int(np.prod(header.shape, dtype=object))
    values = _values(content, header, count)
    if len(values) < count:
        raise ValueError(f"{path}: expected {count} values, came {len(values)}: the file was cut short")
    if values.max(initial=0) > header.largest:
        raise ValueError(f"{path}: expected values up to {header.largest}, came {values.max()}")
    return values[:count].astype(np.uint16).reshape(header.shape)


def _values(content: bytes, header: _Header, count: int) -> npt.NDArray[Any]:
    if header.plain:
        words = _COMMENT.sub(b" ", content[header.end :]).split()
        return np.array(words[:count]).astype(np.int64)
    kind = np.dtype(">u2" if header.largest > 255 else "u1")
    held = (len(content) - header.end) // kind.itemsize
    return np.frombuffer(content, kind, min(count, held), header.end)


def _header(content: bytes) -> _Header | None:
    found = _HEADER.match(content)
    if found is None:
        return None
    kind, w, h, largest = map(int, found.groups())
    if not 1 <= largest <= _MOST or min(h, w) < 1:
        return None
    return _Header(kind in (2, 3), (h, w, 3) if kind in (3, 6) else (h, w), largest, found.end())
