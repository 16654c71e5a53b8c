"""Every version of every operation against float64 NumPy, at sizes around lane edges."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf

from asam_trt import _ops

VERSIONS = ["reference", *_ops.supported_isas()]
EDGES = [1, 3, 4, 7, 8, 15, 16, 17, 31, 33]

Array = NDArray[Any]

pytestmark = pytest.mark.parametrize("version", VERSIONS)


def draw(*shape: int, seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def wide(*arrays: Array) -> list[Array]:
    return [array.astype(np.float64) for array in arrays]


@pytest.mark.parametrize("n", [*EDGES, 48, 49, 64, 65])
@pytest.mark.parametrize("k", [1, 8, 33])
@pytest.mark.parametrize("panel", [16, 32])
def test_matmul(version: str, n: int, k: int, panel: int) -> None:
    for rows in [*EDGES, 12, 13, 25]:
        a, w, bias, residual = draw(rows, k), draw(k, n), draw(3, n), draw(rows, n)
        got = _ops.matmul(a, w, bias=bias, residual=residual, relu=True, version=version, panel=panel)
        a64, w64 = wide(a, w)
        want = np.maximum(a64 @ w64 + bias[np.arange(rows) % 3] + residual, 0)
        bound = 1e-6 * (np.abs(a64) @ np.abs(w64) + 4)
        assert (np.abs(got - want) <= bound).all(), (rows, k, n)


@pytest.mark.parametrize("columns", [1, 7, 16, 20, 33])
def test_matmul_with_a_bias_of_the_first_columns(version: str, columns: int) -> None:
    a, w, bias = draw(13, 8), draw(8, 33), draw(3, columns)
    want = np.matmul(*wide(a, w))
    want[:, :columns] += bias[np.arange(13) % 3]
    np.testing.assert_allclose(_ops.matmul(a, w, bias=bias, version=version), want, atol=1e-5)


def test_matmul_without_epilogue(version: str) -> None:
    a, w = draw(17, 40), draw(40, 33)
    np.testing.assert_allclose(_ops.matmul(a, w, version=version), np.matmul(*wide(a, w)), atol=1e-4)


@pytest.mark.parametrize("n", EDGES)
def test_matmul_with_gelu(version: str, n: int) -> None:
    a, w = draw(9, 20), draw(20, n)
    product = np.matmul(*wide(a, w))
    want = 0.5 * product * (1 + erf(product / math.sqrt(2)))
    np.testing.assert_allclose(_ops.matmul(a, w, gelu=True, version=version), want, atol=1e-5)


def test_matmul_rows_do_not_depend_on_the_batch(version: str) -> None:
    a, w = draw(40, 70), draw(70, 50)
    together = _ops.matmul(a, w, version=version)
    for i in range(len(a)):
        np.testing.assert_array_equal(_ops.matmul(a[i:], w, version=version)[0], together[i])


@pytest.mark.parametrize("n", EDGES)
def test_layer_norm(version: str, n: int) -> None:
    x, weight, bias = 3 * draw(5, n) + 10, draw(n, seed=1), draw(n, seed=2)
    x64 = x.astype(np.float64)
    mean, variance = x64.mean(axis=1, keepdims=True), x64.var(axis=1, keepdims=True)
    want = (x64 - mean) / np.sqrt(variance + 1e-5) * weight + bias
    np.testing.assert_allclose(_ops.layer_norm(x, weight, bias, 1e-5, version=version), want, atol=2e-5)


@pytest.mark.parametrize("n", EDGES)
def test_gelu(version: str, n: int) -> None:
    x = 3 * draw(n)
    x64 = x.astype(np.float64)
    want = 0.5 * x64 * (1 + erf(x64 / math.sqrt(2)))
    np.testing.assert_allclose(_ops.gelu(x, version=version), want, atol=1.5e-6)


def test_gelu_over_the_whole_range(version: str) -> None:
    x = np.concatenate([np.linspace(-12, 12, 100_001), [-1e30, -0.0, 0.0, 1e-30, 1e30]]).astype(np.float32)
    x64 = x.astype(np.float64)
    want = 0.5 * x64 * (1 + erf(x64 / math.sqrt(2)))
    got = _ops.gelu(x, version=version)
    # Relative to x: half the absolute error of erf.
    assert (np.abs(got - want) <= 3e-7 * np.abs(x64)).all()


@pytest.mark.parametrize("n", EDGES)
def test_dot_rows(version: str, n: int) -> None:
    x, h = draw(6, n), draw(n, seed=1)
    np.testing.assert_allclose(
        _ops.dot_rows(x, h, version=version), np.matmul(*wide(x, h)), rtol=0, atol=1e-5
    )


def attention(q: Array, k: Array, v: Array, heads: int) -> Array:
    q, k, v = (x.reshape(len(x), heads, -1).swapaxes(0, 1) for x in wide(q, k, v))
    score = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[-1])
    share = np.exp(score - score.max(axis=-1, keepdims=True))
    share /= share.sum(axis=-1, keepdims=True)
    return (share @ v).swapaxes(0, 1).reshape(q.shape[1], -1)


@pytest.mark.parametrize("dim", [1, 3, 8, 16, 17])
def test_attention(version: str, dim: int) -> None:
    heads = 3
    for queries in EDGES:
        for keys in EDGES:
            q, k, v = (
                draw(queries, heads * dim),
                draw(keys, heads * dim, seed=1),
                draw(keys, heads * dim, seed=2),
            )
            got = _ops.attend(q, k, v, heads, version=version)
            np.testing.assert_allclose(
                got, attention(q, k, v, heads), atol=5e-6, err_msg=f"{queries} x {keys}"
            )
            # The same bits wherever a query stands: threads share the queries.
            last = _ops.attend(q[-1:].copy(), k, v, heads, version=version)
            np.testing.assert_array_equal(last, got[-1:])


def test_attention_with_sharp_scores(version: str) -> None:
    q, k, v = 100 * draw(5, 8), 100 * draw(7, 8, seed=1), draw(7, 8, seed=2)
    got = _ops.attend(q, k, v, 2, version=version)
    np.testing.assert_allclose(got, attention(q, k, v, 2), atol=1e-3)


@pytest.mark.parametrize("queries", [1, 5, 31, 32, 33, 70])
def test_attention_with_biases(version: str, queries: int) -> None:
    heads, dim = 2, 5
    q = draw(queries, heads * dim)
    for keys in (1, 7, 40):
        k, v = draw(keys, heads * dim, seed=1), draw(keys, heads * dim, seed=2)
        bias = 3 * draw(heads, keys, queries, seed=3)
        got = _ops.attend(q, k, v, heads, bias=bias, version=version)
        for h in range(heads):
            one = slice(h * dim, (h + 1) * dim)
            q64, k64, v64, raised = wide(q[:, one], k[:, one], v[:, one], bias[h])
            score = q64 @ k64.T / math.sqrt(dim) + raised.T
            share = np.exp(score - score.max(axis=1, keepdims=True))
            want = share @ v64 / share.sum(axis=1, keepdims=True)
            np.testing.assert_allclose(got[:, one], want, rtol=0, atol=5e-6)


@pytest.mark.parametrize("queries", [1, 12, 16, 17, 33, 70])
@pytest.mark.parametrize("parts", [[1], [72], [1, 1, 5], [40, 41, 40], [72, 3]])
@pytest.mark.parametrize("rising", [False, True])
def test_attention_in_parts(version: str, queries: int, parts: list[int], rising: bool) -> None:
    heads, dim, keys = 2, 5, sum(parts)
    q, k, v = draw(queries, heads * dim), draw(keys, heads * dim, seed=1), draw(keys, heads * dim, seed=2)
    if rising:  # every part has larger scores than those before
        k *= np.linspace(0, 9, keys, dtype=np.float32)[:, None]
    got = _ops.attend_parts(q, k, v, heads, parts, version=version)
    np.testing.assert_allclose(got, attention(q, k, v, heads), rtol=0, atol=1e-5)
    # A team shares the heads; other queries do not matter either.
    one = slice(dim, 2 * dim)
    alone = _ops.attend_parts(
        *(np.ascontiguousarray(x[:, one]) for x in (q[-1:], k, v)), 1, parts, version=version
    )
    np.testing.assert_array_equal(alone, got[-1:, one])


@pytest.mark.parametrize("channels", EDGES)
def test_depthwise(version: str, channels: int) -> None:
    for high, wide_ in ((1, 1), (1, 4), (2, 1), (5, 6)):
        x, weight, bias = (
            draw(high, wide_, channels),
            draw(9, channels, seed=1),
            draw(channels, seed=2),
        )
        padded = np.pad(x.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
        full = sum(
            weight[3 * t + u] * padded[t : t + high, u : u + wide_] for t in range(3) for u in range(3)
        )
        for stride in (1, 2):
            got = _ops.depthwise(x, weight, bias, stride, version=version)
            np.testing.assert_allclose(got, (full + bias)[::stride, ::stride], rtol=0, atol=5e-6)


NOT_NUMBERS = [np.nan, np.inf, -np.inf]


def assert_same_are_finite(got: Array, want: Array) -> None:
    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))


@pytest.mark.parametrize("value", NOT_NUMBERS)
@pytest.mark.parametrize("n", [1, 15, 16, 17, 33])
def test_what_is_not_finite_stays_so(version: str, value: float, n: int) -> None:
    for place in {0, n // 2, n - 1}:
        x = draw(3, n)
        x[1, place] = value
        weight, bias, w = draw(n, seed=1), draw(n, seed=2), draw(n, n, seed=3)
        for activation in ({}, {"relu": True}, {"gelu": True}):
            for given in ({"a": x, "weight": w}, {"a": draw(3, n), "weight": w, "residual": x}):
                got, want = (
                    _ops.matmul(**given, **activation, version=one) for one in (version, "reference")
                )
                assert_same_are_finite(got, want)
        for run in (
            lambda one, x=x: _ops.gelu(x.ravel(), version=one),
            lambda one, x=x, w=weight, b=bias: _ops.layer_norm(x, w, b, 1e-5, version=one),
            lambda one, x=x, h=weight: _ops.dot_rows(x, h, version=one),
        ):
            assert_same_are_finite(run(version), run("reference"))


@pytest.mark.parametrize("value", NOT_NUMBERS)
@pytest.mark.parametrize("where", range(3), ids=["q", "k", "v"])
def test_attention_to_what_is_not_finite(version: str, value: float, where: int) -> None:
    for keys in (1, 2, 17):
        for key in {0, keys // 2, keys - 1}:
            q, k, v = draw(keys, 16), draw(keys, 16, seed=1), draw(keys, 16, seed=2)
            (q, k, v)[where][key, 3] = value
            got, want = (_ops.attend(q, k, v, 2, version=one) for one in (version, "reference"))
            assert_same_are_finite(got, want)
            # A part of which every score is -inf makes NaN where others would have made it nothing.
            in_parts = _ops.attend_parts(q, k, v, 2, [1, keys - 1] if keys > 1 else [1], version=version)
            assert not np.isfinite(in_parts[~np.isfinite(want)]).any()


def test_no_rows(version: str) -> None:
    assert _ops.matmul(draw(0, 8), draw(8, 20), version=version).shape == (0, 20)


def test_wrong_arguments(version: str) -> None:
    with pytest.raises(ValueError, match=r"bias: expected shape \[2, 7, 5\], got \[2, 5, 7\]"):
        _ops.attend(draw(5, 8), draw(7, 8), draw(7, 8), 2, bias=draw(2, 5, 7), version=version)
    with pytest.raises(ValueError, match=r"weight: expected shape \[9, 4\], got \[8, 4\]"):
        _ops.depthwise(draw(3, 3, 4), draw(8, 4), draw(4), 1, version=version)
    with pytest.raises(ValueError, match="stride: expected 1 or 2, got 3"):
        _ops.depthwise(draw(3, 3, 4), draw(9, 4), draw(4), 3, version=version)
    with pytest.raises(ValueError, match=r"weight: expected shape \[3, \*\], got \[4, 2\]"):
        _ops.matmul(draw(2, 3), draw(4, 2), version=version)
    with pytest.raises(ValueError, match="at least one and at most 2 columns, got 3"):
        _ops.matmul(draw(2, 3), draw(3, 2), bias=draw(1, 3), version=version)
    with pytest.raises(ValueError, match="at least one row"):
        _ops.matmul(draw(2, 3), draw(3, 2), bias=draw(0, 2), version=version)
    with pytest.raises(ValueError, match="heads"):
        _ops.attend(draw(2, 8), draw(3, 8), draw(3, 8), 3, version=version)
    with pytest.raises(ValueError, match="at least one key"):
        _ops.attend(draw(2, 8), draw(0, 8), draw(0, 8), 2, version=version)
    with pytest.raises(ValueError, match="parts: expected counts of at least one key that sum to 3"):
        _ops.attend_parts(draw(2, 8), draw(3, 8), draw(3, 8), 2, [1, 1], version=version)
    with pytest.raises(TypeError):
        _ops.gelu(np.zeros(3), version=version)
