"""Three ways to draw the noise of n hypotheses; each hypothesis alone is standard normal with all of them.

- ``iid``: independent draws, Philox4x32-10 (`asam_trt.philox`).
- ``antithetic``: hypothesis 2i is an independent draw and 2i + 1 its mirror image, so that their mean is exact.
- ``sobol``: randomised quasi-Monte Carlo. The latent's elements are taken in groups of four; in each, the
  hypotheses are the points of a four-dimensional Sobol sequence, in an order of its own for each group and
  nested-uniformly scrambled (Owen 1995), both by hashes (Burley, "Practical hash-based Owen scrambling", 2020).
  Of 2^k hypotheses each element has one in every 2^k-th of its probability, and groups are unrelated: one
  Sobol sequence of many hundred dimensions would need as many points to fill its planes.

With all of them hypothesis i of a seed is the same for every n.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from asam_trt import _ops
from asam_trt.philox import philox4x32

Words = NDArray[np.uint32]

_GROUP = 4
_STREAM_HASHES = 2  # streams 0 and 1 of the generator are the two latents


def iid(seed: int, n: int, dim: int) -> NDArray[np.float32]:
    """Independent draws, float32 [n, 2, dim]."""
    return np.asarray(_ops.philox_normal(seed, n, dim, 0))


def antithetic(seed: int, n: int, dim: int) -> NDArray[np.float32]:
    """Pairs of a draw and its mirror image, float32 [n, 2, dim]."""
    half = iid(seed, (n + 1) // 2, dim)
    return np.stack([half, -half], axis=1).reshape(-1, 2, dim)[:n]


def sobol(seed: int, n: int, dim: int) -> NDArray[np.float32]:
    """Scrambled Sobol points through the inverse normal distribution, float32 [n, 2, dim]."""
    groups = 2 * dim // _GROUP
    keys = _keys(seed, groups)
    index = np.arange(n, dtype=np.uint32)[:, None]
    order = _scrambled(index, keys[:, 0])  # [n, groups]
    points = np.stack([_point(order, axis) for axis in range(_GROUP)], axis=2)  # [n, groups, 4]
    bits = _scrambled(points, keys[:, 1:])
    unit = (bits.astype(np.float64) + 0.5) * 2.0**-32
    return np.asarray(ndtri(unit), np.float32).reshape(n, 2, dim)


DRAWS: dict[str, Callable[[int, int, int], NDArray[np.float32]]] = {
    "iid": iid,
    "antithetic": antithetic,
    "sobol": sobol,
}


def _keys(seed: int, groups: int) -> Words:
    """Hash keys uint32 [groups, 5]: of a group's order, and of its four axes."""
    counter = np.zeros((2 * groups, 4), np.uint32)
    counter[:, 0] = np.arange(2 * groups)
    counter[:, 2] = _STREAM_HASHES
    words = philox4x32(counter, (seed & 0xFFFFFFFF, seed >> 32))
    return words.reshape(groups, 8)[:, : 1 + _GROUP]


def _directions() -> Words:
    """Direction numbers uint32 [4, 32] of the first four Sobol dimensions (Joe and Kuo 2008, new-joe-kuo-6)."""
    table = [(0, 0, []), (1, 0, [1]), (2, 1, [1, 3]), (3, 1, [1, 3, 1])]  # degree, coefficients, m_1 ...
    found = np.zeros((_GROUP, 32), np.uint64)
    for axis, (degree, coefficients, m) in enumerate(table):
        v = [value << (31 - i) for i, value in enumerate(m)] if degree else [1 << (31 - i) for i in range(32)]
        for i in range(len(v), 32):
            value = v[i - degree] ^ (v[i - degree] >> degree)
            for k in range(1, degree):
                value ^= ((coefficients >> (degree - 1 - k)) & 1) * v[i - k]
            v.append(value)
        found[axis] = v
    return found.astype(np.uint32)


_DIRECTIONS = _directions()


def _point(index: Words, axis: int) -> Words:
    """Element ``axis`` of Sobol points as 32-bit fractions."""
    out = np.zeros_like(index)
    for bit in range(32):
        out ^= np.where(index >> np.uint32(bit) & np.uint32(1), _DIRECTIONS[axis, bit], np.uint32(0))
    return out


def _scrambled(x: Words, key: Words) -> Words:
    """Nested uniform scrambling: each bit is flipped or not, depending on the bits above it and the key."""
    return _reversed(_laine_karras(_reversed(x), key))


def _laine_karras(x: Words, key: Words) -> Words:
    """A hash whose every bit depends on lower bits alone (Laine and Karras 2011, Burley's constants)."""
    with np.errstate(over="ignore"):
        x = x + key
        for factor in (0x6C50B47C, 0xB82F1E52, 0xC7AFE638, 0x8D22F6E6):
            x = x ^ (x * np.uint32(factor))
    return x


def _reversed(x: Words) -> Words:
    """The bits of each word from last to first."""
    for shift, mask in ((1, 0x55555555), (2, 0x33333333), (4, 0x0F0F0F0F), (8, 0x00FF00FF)):
        low = np.uint32(mask)
        x = (x & low) << np.uint32(shift) | (x >> np.uint32(shift)) & low
    return np.asarray(x << np.uint32(16) | x >> np.uint32(16))
