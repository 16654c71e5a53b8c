"""COCO run-length encoding of masks, as pycocotools reads and writes it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def encode(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
    """bool [H, W] -> ``{"size": [H, W], "counts": str}``, COCO's compressed form.

    Runs go down the columns and begin with background. Each count is written as the difference to the count
    two before it, five bits a character (``maskApi.c``, ``rleToString``).
    """
    column_major = np.asarray(mask, np.bool_).T.ravel()
    changes = np.flatnonzero(np.diff(column_major)) + 1
    edges = np.concatenate([[0], changes, [column_major.size]])
    counts = np.diff(edges).tolist()
    if column_major.size and column_major[0]:
        counts.insert(0, 0)
    return {"size": list(mask.shape), "counts": _to_string(counts)}


def decode(rle: dict[str, Any]) -> npt.NDArray[np.bool_]:
    """``{"size": [H, W], "counts": str}`` -> bool [H, W]; counts may be bytes, or a list of plain runs.

    Raises:
        TypeError: counts of another type.
        ValueError: the runs do not fill the mask.
    """
    h, w = rle["size"]
    counts = rle["counts"]
    if isinstance(counts, bytes):
        counts = counts.decode("ascii")
    if isinstance(counts, str):
        counts = _from_string(counts)
    elif not isinstance(counts, list):
        raise TypeError(f"expected counts as str, bytes or a list of runs, came {type(counts).__name__}")
    if min(counts, default=0) < 0 or sum(counts) != h * w:
        raise ValueError(f"expected runs that fill {h} x {w} pixels, came runs of {sum(counts)}")
    values = np.arange(len(counts)) % 2 == 1
    return np.ascontiguousarray(np.repeat(values, counts).reshape(w, h).T)


def _to_string(counts: list[int]) -> str:
    out = bytearray()
    for i, count in enumerate(counts):
        x = count - counts[i - 2] if i > 2 else count
        while True:
            bits = x & 0x1F
            x >>= 5
            more = x != (-1 if bits & 0x10 else 0)
            out.append((bits | (0x20 if more else 0)) + 48)
            if not more:
                break
    return out.decode("ascii")


def _from_string(text: str) -> list[int]:
    counts: list[int] = []
    x = shift = 0
    for char in text.encode("ascii"):
        bits = char - 48
        x |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            x -= 1 << shift
        counts.append(x + counts[-2] if len(counts) > 2 else x)
        x = shift = 0
    return counts
