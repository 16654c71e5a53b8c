"""Every version of the 16-bit operations against NumPy, whose integers are exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import erf

from asam_trt import _ops

# avx512f takes that of avx2.
VERSIONS = ["reference", *(isa for isa in _ops.supported_isas() if isa != "avx512f")]

Array = NDArray[Any]

every_version = pytest.mark.parametrize("version", VERSIONS)


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def columns_in_16_bits(weight: NDArray[np.float32]) -> tuple[Array, Array]:
    levels, steps = _ops.quantise_int16(np.ascontiguousarray(weight.T), version="reference")
    return levels.T.astype(np.int64), steps.astype(np.float64)


rows = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 70)),
    elements=st.floats(-(2.0**126), 2.0**126, width=32, allow_subnormal=False),
)


def check_rows(x: Array, y: Array, scale: Array) -> None:
    steps, levels = scale.astype(np.float64)[:, None], y.astype(np.int64)
    # Rows of next to nothing are 0; the largest number may be a few roundings of float32 away.
    assert (np.abs(steps * levels - x) <= 0.5 * steps + 1e-6 * np.abs(x) + 1e-30).all()
    assert ((levels**2).sum(axis=1) < 2**31).all()
    assert (np.abs(levels) <= 32767).all()
    assert (scale > 0).all()
    np.testing.assert_array_equal(levels[x == 0], 0)


@every_version
@given(x=rows)
@settings(deadline=None, max_examples=100)
def test_a_quantised_row_is_within_half_a_step(version: str, x: NDArray[np.float32]) -> None:
    check_rows(x, *_ops.quantise_int16(x, version=version))


@every_version
@pytest.mark.parametrize("size", [1e-36, 1e-29, 1e-12, 1.0, 1e14, 1e16, 1e38])
@pytest.mark.parametrize("n", [1, 2, 17, 256, 65536])
def test_rows_of_one_size_and_with_one_large_number(version: str, n: int, size: float) -> None:
    alike = np.full((1, n), size, np.float32)
    signs = alike * np.where(np.arange(n) % 2, -1, 1).astype(np.float32)
    alone = alike * np.where(np.arange(n) == n // 2, 1, 1e-3).astype(np.float32)
    x = np.concatenate([alike, signs, alone, draw(1, n).clip(-3, 3) * np.float32(size)])
    y, scale = _ops.quantise_int16(x, version=version)
    check_rows(x, y, scale)
    if size > 1e-28:  # all of the room is used: by the largest number or by their norm
        norms = np.sqrt((y.astype(np.float64) ** 2).sum(axis=1))
        assert ((np.abs(y.astype(int)).max(axis=1) >= 32766) | (norms > 46000)).all()


@pytest.mark.parametrize("n", [1, 15, 16, 17, 64, 97])
def test_versions_agree_to_a_level(n: int) -> None:
    x = np.concatenate(
        [draw(4, n), np.abs(draw(2, n)), draw(2, n) * np.float32(1e30), np.zeros((1, n), np.float32)]
    )
    y, scale = _ops.quantise_int16(x, version="reference")
    for version in VERSIONS:
        got, steps = _ops.quantise_int16(x, version=version)
        np.testing.assert_allclose(steps, scale, rtol=1e-6)
        assert np.abs(got.astype(int) - y).max() <= 1


@every_version
@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 33, 48, 49, 65])
@pytest.mark.parametrize("k", [1, 2, 3, 8, 33])
def test_matmul(version: str, n: int, k: int) -> None:
    for m in (1, 2, 12, 13, 25):
        a, scale = _ops.quantise_int16(draw(m, k) + 0.3)
        w, bias, residual = draw(k, n, seed=1), draw(3, n, seed=2), draw(m, n, seed=3)
        levels, steps = columns_in_16_bits(w)
        plain = (a.astype(np.int64) @ levels) * scale[:, None].astype(np.float64) * steps
        want = plain + bias[np.arange(m) % 3] + residual
        got = _ops.matmul_int16(a, scale, w, version=version)
        np.testing.assert_allclose(got, plain, rtol=1e-6, atol=1e-6)
        got = _ops.matmul_int16(a, scale, w, bias, residual, relu=True, version=version)
        np.testing.assert_allclose(got, np.maximum(want, 0), rtol=1e-5, atol=1e-5)
        got = _ops.matmul_int16(a, scale, w, bias, residual, gelu=True, version=version)
        np.testing.assert_allclose(got, 0.5 * want * (1 + erf(want / math.sqrt(2))), rtol=1e-5, atol=1e-5)


@every_version
@pytest.mark.parametrize("k", [1, 2, 256, 4096, 65536])
def test_the_largest_sums_fit(version: str, k: int) -> None:
    """A row along a column has the largest product of two such norms, and so have parts of it."""
    for x in (np.ones((1, k), np.float32), draw(1, k), np.sort(draw(1, k))):
        w = np.concatenate([x.T, -x.T], axis=1)
        got = _ops.matmul_int16(
            *_ops.quantise_int16(x, version=version), np.ascontiguousarray(w), version=version
        )
        want = x.astype(np.float64) @ w
        np.testing.assert_allclose(got, want, rtol=1.1 * k**0.5 / 46000)  # half a level of each number


@every_version
@pytest.mark.parametrize("k", [64, 256, 2048])
def test_nearer_than_bfloat16(version: str, k: int) -> None:
    x, w = draw(16, k), draw(k, 48, seed=1)
    want = x.astype(np.float64) @ w
    rounded = [torch.from_numpy(value).bfloat16().double().numpy() for value in (x, w)]
    bf16 = np.sqrt(np.mean((rounded[0] @ rounded[1] - want) ** 2))
    got = _ops.matmul_int16(*_ops.quantise_int16(x, version=version), w, version=version)
    assert np.sqrt(np.mean((got - want) ** 2)) < bf16 / (8 if k <= 256 else 4)


@every_version
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 33])
def test_what_is_not_finite_stays_so(version: str, value: float, n: int) -> None:
    w = draw(n, 20, seed=1)
    for place in {0, n // 2, n - 1}:
        x = draw(3, n)
        x[1, place] = value
        a, scale = _ops.quantise_int16(x, version=version)
        np.testing.assert_array_equal(np.isnan(scale), [False, True, False])
        np.testing.assert_array_equal(a[1], 0)
        for activation in ({}, {"relu": True}, {"gelu": True}):
            got = _ops.matmul_int16(a, scale, w, **activation, version=version)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(scale)[:, None].repeat(20, axis=1))


@every_version
def test_relu_keeps_a_residual_that_is_not_finite(version: str) -> None:
    residual = draw(3, 20)
    residual[0, [0, 17]], residual[2, 5] = np.nan, np.inf
    rows = _ops.quantise_int16(draw(3, 8))
    got = _ops.matmul_int16(*rows, draw(8, 20), residual=residual, relu=True, version=version)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(residual))


@every_version
def test_no_rows(version: str) -> None:
    rows = _ops.quantise_int16(draw(0, 8), version=version)
    assert _ops.matmul_int16(*rows, draw(8, 20), version=version).shape == (0, 20)


@every_version
def test_wrong_arguments(version: str) -> None:
    a, scale = _ops.quantise_int16(draw(2, 3))
    with pytest.raises(ValueError, match=r"weight: expected shape \[3, \*\], got \[4, 2\]"):
        _ops.matmul_int16(a, scale, draw(4, 2), version=version)
    with pytest.raises(ValueError, match="scale"):
        _ops.matmul_int16(a, scale[:1], draw(3, 2), version=version)
    with pytest.raises(ValueError, match="at most 65536 inputs"):
        _ops.matmul_int16(
            np.zeros((1, 65537), np.int16), scale[:1], np.zeros((65537, 1), np.float32), version=version
        )
