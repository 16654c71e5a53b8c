"""Attention with relative positions: every version against the padded window written out in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from asam_trt import _ops

# An instruction set, and whether products are of 16-bit integers, which what is below AVX2 has not.
VERSIONS = [
    *((isa, False) for isa in ("reference", *_ops.supported_isas())),
    *((isa, True) for isa in _ops.supported_isas() if isa in ("avx2", "avxvnni", "avx512vnni")),
]
Array = NDArray[Any]

every_version = pytest.mark.parametrize(("version", "int16"), VERSIONS)


def draw(seed: int, *shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def inputs(high: int, wide: int, window: int, dim: int) -> dict[str, NDArray[np.float32]]:
    cells = high * wide
    return {
        "q": draw(1, cells, dim),
        "k": draw(2, cells, dim),
        "v": draw(3, cells, dim),
        "table_h": draw(4, 2 * window - 1, dim),
        "table_w": draw(5, 2 * window - 1, dim),
        "padded_key": draw(6, dim),
        "padded_value": draw(7, dim),
    }


def padded_window(
    q: Array,
    k: Array,
    v: Array,
    table_h: Array,
    table_w: Array,
    padded_key: Array,
    padded_value: Array,
    *,
    wide: int,
) -> Array:
    """SAM's own order of things in float64: pad, score every cell of the window, add positions, mix."""
    cells, dim = k.shape
    high, window = cells // wide, (len(table_h) + 1) // 2
    keys = np.broadcast_to(padded_key.astype(np.float64), (window, window, dim)).copy()
    values = np.broadcast_to(padded_value.astype(np.float64), (window, window, dim)).copy()
    keys[:high, :wide] = k.reshape(high, wide, dim)
    values[:high, :wide] = v.reshape(high, wide, dim)
    out = np.empty((cells, dim))
    for i, query in enumerate(q.astype(np.float64)):
        y, x = divmod(i, wide)
        score = keys @ query / np.sqrt(dim)
        score += (table_h[y - np.arange(window) + window - 1] @ query)[:, None]
        score += (table_w[x - np.arange(window) + window - 1] @ query)[None, :]
        share = np.exp(score - score.max())
        out[i] = np.einsum("yx,yxd->d", share / share.sum(), values)
    return out


@every_version
@pytest.mark.parametrize(
    ("high", "wide", "window"),
    [
        (1, 1, 1),
        (1, 1, 5),
        (5, 5, 5),
        (3, 5, 5),
        (5, 2, 5),
        (4, 3, 5),
        (8, 8, 14),
        (7, 9, 9),
        (1, 14, 14),
        (13, 14, 14),
        (16, 16, 16),
    ],
)
def test_windows(version: str, int16: bool, high: int, wide: int, window: int) -> None:
    for dim in (1, 3, 16, 17, 64):
        given = inputs(high, wide, window, dim)
        found = _ops.relative_attend(**given, wide=wide, version=version, int16=int16)
        atol = 4e-4 if int16 else 2e-5
        np.testing.assert_allclose(found, padded_window(**given, wide=wide), atol=atol, err_msg=f"dim {dim}")


@every_version
@pytest.mark.parametrize("queries", [1, 7, 15, 16, 17, 31, 32, 33, 40])
def test_parts_of_a_window(version: str, int16: bool, queries: int) -> None:
    given = inputs(6, 7, 8, 24)
    whole = _ops.relative_attend(**given, wide=7, version=version, int16=int16)
    for first in (0, 1, 42 - queries):
        part = given | {"q": np.ascontiguousarray(given["q"][first : first + queries])}
        found = _ops.relative_attend(**part, wide=7, first=first, version=version, int16=int16)
        np.testing.assert_allclose(found, whole[first : first + queries], rtol=0, atol=2e-6)


@every_version
@pytest.mark.parametrize("who", ["real", "padded", "both"])
def test_sharp_scores(version: str, int16: bool, who: str) -> None:
    """Scores of hundreds: whatever wins takes everything, and nothing overflows."""
    given = inputs(4, 3, 6, 16)
    if who != "padded":
        given["k"] *= 100
    if who != "real":
        given["padded_key"] *= 100
        given["table_h"] *= 30
    found = _ops.relative_attend(**given, wide=3, version=version, int16=int16)
    np.testing.assert_allclose(found, padded_window(**given, wide=3), atol=2e-3)


@every_version
@pytest.mark.parametrize("name", ["q", "k", "v", "table_h", "table_w", "padded_key", "padded_value"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_so(version: str, int16: bool, name: str, value: float) -> None:
    for place in (0, 3, -1):
        given = inputs(4, 3, 6, 16)
        given[name].reshape(-1)[place] = value
        got, want = (
            _ops.relative_attend(**given, wide=3, version=one, int16=int16) for one in (version, "reference")
        )
        # Where a whole rectangle of padded cells has no weight, the sum over it may be lost as well.
        assert not (np.isfinite(got) & ~np.isfinite(want)).any()


def test_wrong_arguments() -> None:
    given = inputs(4, 3, 6, 8)
    for change, text in (
        ({"wide": 5}, "wide"),
        ({"wide": 0}, "wide"),
        ({"first": 1}, "first"),
        ({"table_h": draw(0, 10, 8)}, "table_h"),
        ({"table_w": draw(0, 9, 8)}, "table_w"),
        ({"v": draw(0, 12, 7)}, "v: expected shape"),
        ({"padded_key": draw(0, 7)}, "padded_key"),
    ):
        with pytest.raises(ValueError, match=text):
            _ops.relative_attend(**{**given, "wide": 3, **change})
