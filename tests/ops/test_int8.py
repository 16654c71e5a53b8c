"""Every version of the 8-bit operations against NumPy, whose integers are exact."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.special import erf

from asam_trt import _ops

# Of products, AVX2 and AVX-512F have none of their own; rows are quantised by AVX2 too.
VERSIONS = ["reference", *(isa for isa in _ops.supported_isas() if isa != "avx512f")]

Array = NDArray[Any]

every_version = pytest.mark.parametrize("version", VERSIONS)


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def columns_in_8_bits(weight: Array) -> tuple[Array, Array]:
    largest = np.abs(weight).max(axis=0)
    levels = np.rint(weight * (np.float32(127) / np.where(largest > 0, largest, np.float32(np.inf))))
    return np.clip(levels, -127, 127).astype(np.int64), largest.astype(np.float64) / 127


rows = arrays(
    np.float32,
    st.tuples(st.integers(1, 3), st.integers(1, 70)),
    elements=st.floats(-1e6, 1e6, width=32, allow_subnormal=False),
)


@every_version
@given(x=rows)
@settings(deadline=None, max_examples=60)
def test_a_quantised_row_is_within_half_a_step(version: str, x: NDArray[np.float32]) -> None:
    y, scale, zero = _ops.quantise_int8(x, version=version)
    back = scale[:, None].astype(np.float64) * (y.astype(np.int64) - zero[:, None])
    # Zero is rounded to a level of its own, so the ends may be half a step further away. Rows of next to nothing are 0.
    assert (np.abs(back - x) <= 1.001 * scale[:, None] + 1e-5 * np.abs(x) + 1e-30).all()
    assert (scale <= 2e6 / 255 * 1.001).all()
    assert ((zero >= 0) & (zero <= 255) & (scale > 0)).all()
    np.testing.assert_array_equal(back[x == 0], 0)


@pytest.mark.parametrize("n", [1, 15, 16, 17, 64, 97])
def test_versions_quantise_to_the_same_bits(n: int) -> None:
    least = np.full((2, n), np.finfo(np.float32).tiny)
    x = np.concatenate([draw(4, n), np.abs(draw(2, n)), -np.abs(draw(2, n)), least, -least, 0 * least])
    wanted = _ops.quantise_int8(x, version="reference")
    for version in VERSIONS:
        for got, want in zip(_ops.quantise_int8(x, version=version), wanted, strict=True):
            np.testing.assert_array_equal(got, want)


@every_version
@pytest.mark.parametrize("n", [1, 15, 16, 17, 31, 33, 48, 49, 65])
@pytest.mark.parametrize("k", [1, 3, 4, 8, 33])
def test_matmul(version: str, n: int, k: int) -> None:
    for m in (1, 2, 12, 13, 25):
        a, scale, zero = _ops.quantise_int8(draw(m, k) + 0.3)
        w, bias, residual = draw(k, n, seed=1), draw(3, n, seed=2), draw(m, n, seed=3)
        levels, steps = columns_in_8_bits(w)
        sums = (a.astype(np.int64) - zero[:, None]) @ levels
        plain = sums * scale[:, None].astype(np.float64) * steps
        want = plain + bias[np.arange(m) % 3] + residual
        got = _ops.matmul_int8(a, scale, zero, w, version=version)
        np.testing.assert_allclose(got, plain, rtol=1e-6, atol=1e-6)
        got = _ops.matmul_int8(a, scale, zero, w, bias, residual, relu=True, version=version)
        np.testing.assert_allclose(got, np.maximum(want, 0), rtol=1e-5, atol=1e-5)
        got = _ops.matmul_int8(a, scale, zero, w, bias, residual, gelu=True, version=version)
        np.testing.assert_allclose(got, 0.5 * want * (1 + erf(want / math.sqrt(2))), rtol=1e-5, atol=1e-5)


@every_version
def test_the_largest_sums_are_exact(version: str) -> None:
    k = 4096
    a = np.full((2, k), 255, np.uint8)
    w = np.ones((k, 16), np.float32)
    zero = np.array([0, 255], np.int32)
    got = _ops.matmul_int8(a, np.ones(2, np.float32), zero, w, version=version)
    np.testing.assert_allclose(got[0], 255 * k, rtol=1e-6)
    np.testing.assert_array_equal(got[1], 0)


@every_version
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 33])
def test_what_is_not_finite_stays_so(version: str, value: float, n: int) -> None:
    w = draw(n, 20, seed=1)
    for place in {0, n // 2, n - 1}:
        x = draw(3, n)
        x[1, place] = value
        a, scale, zero = _ops.quantise_int8(x, version=version)
        np.testing.assert_array_equal(np.isnan(scale), [False, True, False])
        np.testing.assert_array_equal(a[1], 0)
        assert zero[1] == 0
        for activation in ({}, {"relu": True}, {"gelu": True}):
            got = _ops.matmul_int8(a, scale, zero, w, **activation, version=version)
            np.testing.assert_array_equal(np.isnan(got), np.isnan(scale)[:, None].repeat(20, axis=1))


@every_version
def test_relu_keeps_a_residual_that_is_not_finite(version: str) -> None:
    a, scale, zero = _ops.quantise_int8(draw(3, 8))
    residual = draw(3, 20)
    residual[0, [0, 17]], residual[2, 5] = np.nan, np.inf
    got = _ops.matmul_int8(a, scale, zero, draw(8, 20), residual=residual, relu=True, version=version)
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(residual))


@every_version
def test_no_rows(version: str) -> None:
    a, scale, zero = _ops.quantise_int8(draw(0, 8))
    assert _ops.matmul_int8(a, scale, zero, draw(8, 20), version=version).shape == (0, 20)


@every_version
def test_wrong_arguments(version: str) -> None:
    a, scale, zero = _ops.quantise_int8(draw(2, 3))
    with pytest.raises(ValueError, match=r"weight: expected shape \[3, \*\], got \[4, 2\]"):
        _ops.matmul_int8(a, scale, zero, draw(4, 2), version=version)
    with pytest.raises(ValueError, match="scale"):
        _ops.matmul_int8(a, scale[:1], zero, draw(3, 2), version=version)
    with pytest.raises(ValueError, match="at most 65536 inputs"):
        _ops.matmul_int8(
            np.zeros((1, 65537), np.uint8),
            scale[:1],
            zero[:1],
            np.zeros((65537, 1), np.float32),
            version=version,
        )
