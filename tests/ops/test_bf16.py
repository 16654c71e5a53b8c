"""Every version of every bfloat16 operation against float64 NumPy on the same rounded numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf

from asam_trt import _ops

# What lies between them takes the readable version.
VERSIONS = ["reference", *(isa for isa in _ops.supported_isas() if isa in ("portable", "avx512bf16"))]
EDGES = [1, 3, 4, 7, 8, 15, 16, 17, 31, 33]
ROUNDING = 2.0**-8  # largest relative error of one rounding, with room for a tie

Array = NDArray[Any]
Bits = NDArray[np.uint16]

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def bits(x: Array) -> Bits:
    """PyTorch's rounding."""
    return torch.from_numpy(np.ascontiguousarray(x)).to(torch.bfloat16).view(torch.uint16).numpy()


def value(x: Bits) -> Array:
    return (x.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def gelu(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + erf(x / math.sqrt(2))))


def assert_rounded(got: Bits, want: Array, slack: float | Array = 0.0) -> None:
    assert (np.abs(value(got) - want) <= ROUNDING * np.abs(want) + slack).all()


@pytest.mark.parametrize("n", EDGES)
def test_rounding_is_that_of_pytorch(version: str, n: int) -> None:
    halfway = np.array([1 + 2**-8, 1 + 3 * 2**-8, -1 - 2**-8, 3.0e38, 1e-30, 0.0, -0.0], np.float32)
    x = np.concatenate([halfway, draw(n)])[-n:]
    np.testing.assert_array_equal(_ops.to_bf16(x, version=version), bits(x))
    np.testing.assert_array_equal(_ops.to_bf16(halfway, version=version), bits(halfway))


@pytest.mark.parametrize("n", [*EDGES, 48, 49, 64, 65])
@pytest.mark.parametrize("k", [1, 2, 8, 33])
def test_matmul(version: str, n: int, k: int) -> None:
    for rows in [*EDGES, 12, 13, 25]:
        a, w, bias, residual = bits(draw(rows, k)), draw(k, n), draw(3, n), draw(rows, n)
        wide, narrow = _ops.matmul_bf16(a, w, bias=bias, residual=residual, relu=True, version=version)
        a64, w64 = value(a), value(bits(w))
        want = np.maximum(a64 @ w64 + bias[np.arange(rows) % 3] + residual, 0)
        bound = 1e-6 * (np.abs(a64) @ np.abs(w64) + 4)
        assert (np.abs(wide - want) <= bound).all(), (rows, k, n)
        np.testing.assert_array_equal(narrow, bits(wide))


@pytest.mark.parametrize("n", EDGES)
def test_matmul_with_gelu(version: str, n: int) -> None:
    a, w = bits(draw(9, 20)), draw(20, n)
    wide, _ = _ops.matmul_bf16(a, w, gelu=True, version=version)
    np.testing.assert_allclose(wide, gelu(value(a) @ value(bits(w))), atol=1e-5)


def test_matmul_rows_do_not_depend_on_the_batch(version: str) -> None:
    a, w = bits(draw(40, 70)), draw(70, 50)
    together, _ = _ops.matmul_bf16(a, w, version=version)
    for i in range(len(a)):
        np.testing.assert_array_equal(_ops.matmul_bf16(a[i:], w, version=version)[0][0], together[i])


@pytest.mark.parametrize("n", EDGES)
@pytest.mark.parametrize("relu", [False, True])
def test_add_rows(version: str, n: int, relu: bool) -> None:
    x, row = draw(5, n), draw(2, n, seed=1)
    total = x + row[np.arange(5) % 2]
    want = np.maximum(total, 0) if relu else total
    np.testing.assert_array_equal(_ops.add_rows_bf16(x, row, relu=relu, version=version), bits(want))


@pytest.mark.parametrize("n", EDGES)
@pytest.mark.parametrize("with_gelu", [False, True])
def test_layer_norm(version: str, n: int, with_gelu: bool) -> None:
    x, weight, bias, plus = 3 * draw(5, n) + 10, draw(n, seed=1), draw(n, seed=2), draw(2, n, seed=3)
    x64 = x.astype(np.float64)
    mean, variance = x64.mean(axis=1, keepdims=True), x64.var(axis=1, keepdims=True)
    want = (x64 - mean) / np.sqrt(variance + 1e-5) * weight + bias
    if with_gelu:
        want = gelu(want)
    wide, narrow, narrow_plus = _ops.layer_norm_bf16(
        x, weight, bias, 1e-5, plus, gelu=with_gelu, version=version
    )
    np.testing.assert_allclose(wide, want, atol=2e-5)
    np.testing.assert_array_equal(narrow, bits(wide))
    np.testing.assert_array_equal(narrow_plus, bits(wide + plus[np.arange(5) % 2]))


def assert_same_are_finite(got: Array, want: Array) -> None:
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


@pytest.mark.parametrize("spoiler", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("n", [1, 15, 16, 17, 33])
def test_what_is_not_finite_stays_so(version: str, spoiler: float, n: int) -> None:
    for place in {0, n // 2, n - 1}:
        x = draw(3, n)
        x[1, place] = spoiler
        w, row = draw(n, n, seed=1), draw(2, n, seed=2)
        np.testing.assert_array_equal(
            np.isnan(value(_ops.to_bf16(x.ravel(), version=version))), np.isnan(x.ravel())
        )
        for activation in ({}, {"relu": True}, {"gelu": True}):
            for given in ({"a": bits(x)}, {"a": bits(draw(3, n)), "residual": x}):
                got, want = (
                    _ops.matmul_bf16(weight=w, **given, **activation, version=one)
                    for one in (version, "reference")
                )
                assert_same_are_finite(got[0], want[0])
                assert_same_are_finite(value(got[1]), value(want[1]))
        for relu in (False, True):
            got, want = (_ops.add_rows_bf16(x, row, relu=relu, version=one) for one in (version, "reference"))
            assert_same_are_finite(value(got), value(want))
        for gelu in (False, True):
            got, want = (
                _ops.layer_norm_bf16(x, row[0], row[1], 1e-5, row, gelu=gelu, version=one)
                for one in (version, "reference")
            )
            for one, other in zip(got, want, strict=True):
                assert_same_are_finite(
                    one if one.dtype == np.float32 else value(one),
                    other if other.dtype == np.float32 else value(other),
                )


def test_no_rows(version: str) -> None:
    wide, narrow = _ops.matmul_bf16(bits(draw(0, 8)), draw(8, 20), version=version)
    assert wide.shape == narrow.shape == (0, 20)


def test_wrong_arguments(version: str) -> None:
    with pytest.raises(ValueError, match=r"weight: expected shape \[3, \*\], got \[4, 2\]"):
        _ops.matmul_bf16(bits(draw(2, 3)), draw(4, 2), version=version)
    with pytest.raises(TypeError):
        _ops.matmul_bf16(draw(2, 3), draw(3, 2), version=version)
