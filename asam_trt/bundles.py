"""Outlines of many masks at once, found in the masks themselves: for pictures at video rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.uint8]

# (1, 2, 1) / 4 in x and in y over a line one pixel wide leaves a half on its middle: doubled, it is solid.
_SOFT = np.minimum(np.arange(17) * 32, 255).astype(np.uint8)


def edge_planes(masks: npt.NDArray[np.bool_]) -> Planes:
    """Where the masks bool [n, H, W] change to a neighbour: uint8 [ceil(n / 8), H, W].

    Bit i % 8 of plane i // 8 belongs to mask i, so that eight masks are compared with one operation. Each
    outline is one pixel wide: the pixel left of, or above, the change.
    """
    n, h, w = masks.shape
    size = h * w
    # Eight pixels at a time: a byte of 0 or 1 that moves by at most 7 bits stays within itself. One mask at a
    # time: it stays in the cache.
    lane = np.zeros(-(-size // 8), np.uint64)
    moved = np.empty_like(lane)
    pixels = lane.view(np.bool_)[:size].reshape(h, w)
    packed = np.zeros((-(-n // 8), len(lane)), np.uint64)
    for i, mask in enumerate(masks):
        pixels[...] = mask
        packed[i // 8] |= np.left_shift(lane, np.uint64(i % 8), out=moved)
    planes = packed.view(np.uint8)[:, :size].reshape(-1, h, w)
    edges = np.zeros_like(planes)
    edges[:, :, :-1] = planes[:, :, 1:] ^ planes[:, :, :-1]
    edges[:, :-1] |= planes[:, 1:] ^ planes[:, :-1]
    return edges


def bundle(planes: Planes, members: npt.NDArray[np.integer]) -> npt.NDArray[np.uint8]:
    """The outlines of some of the masks as one layer without steps, uint8 [H, W], 255 on a line.

    Args:
        planes: of `edge_planes`.
        members: int [k], numbers of the masks.
    """
    bits = np.zeros(len(planes), np.uint8)
    np.bitwise_or.at(bits, members // 8, np.uint8(1) << (members % 8).astype(np.uint8))
    layer = (np.bitwise_or.reduce(planes & bits[:, None, None], axis=0) != 0).view(np.uint8)
    return np.asarray(_SOFT[_binomial(_binomial(layer).T).T])


def _binomial(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    out = values << np.uint8(1)
    out[:, 1:] += values[:, :-1]
    out[:, :-1] += values[:, 1:]
    return out
