"""PyTorch's encoder without padded cells against segment_anything, the native encoder, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from plain_encoder import PlainEncoder

from asam.export_encoder import encoder_config, encoder_tensors
from asam_trt import _runtime
from asam_trt.torch_parts.encoder import Encoder
from asam_trt.torch_parts.parts import DTYPES

from .conftest import CASES, make_case, small_encoder

CPU = torch.device("cpu")


def rms(error: np.ndarray) -> float:
    return float(np.sqrt((error * error).mean()))


def encode(case: Any, precision: str) -> np.ndarray:
    encoder = Encoder(case.config, case.weights, dtype=DTYPES[precision], device=CPU)
    found = encoder(torch.from_numpy(case.image))
    assert (found.dtype, tuple(found.shape)) == (torch.float32, case.exact.shape)
    assert found.is_contiguous()
    return np.asarray(found.double().numpy())


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", CASES)
def test_equals_segment_anything(case_of: Callable[[str], Any], name: str, precision: str) -> None:
    case = case_of(name)
    error = rms(encode(case, precision) - case.exact)
    # Half of what PyTorch loses that rounds residuals and norms too.
    allowed = (2 if precision == "float32" else 0.6) * rms(case.torch_error(DTYPES[precision]))
    # Of a single cell PyTorch may lose next to nothing by chance.
    assert error <= max(allowed, 8 * np.finfo(np.float32).eps * rms(case.exact))


@pytest.mark.parametrize("name", CASES)
def test_equals_the_native_encoder(case_of: Callable[[str], Any], name: str) -> None:
    case = case_of(name)
    native = _runtime.ImageEncoder(case.config.as_dict(), case.weights).encode(case.image)
    np.testing.assert_allclose(
        encode(case, "float32"), native, rtol=0, atol=1e-4 * float(np.abs(native).max())
    )


def test_scores_far_apart_between_real_and_padded_keys() -> None:
    encoder = small_encoder(128, depth=1, global_blocks=())
    with torch.no_grad():
        encoder.blocks[0].attn.rel_pos_h.normal_(std=40)
        encoder.blocks[0].attn.rel_pos_w.normal_(std=40)
    case = make_case(encoder)
    assert rms(encode(case, "float32") - case.exact) <= 2 * rms(case.torch_error(torch.float32))


@pytest.mark.parametrize("name", CASES)
def test_the_plain_encoder_of_the_benchmarks_is_segment_anythings(
    case_of: Callable[[str], Any], name: str
) -> None:
    case = case_of(name)
    found = PlainEncoder(case.config, case.weights, torch.float64)(torch.from_numpy(case.image).double())
    # Its weights are float32 here as there, but for tables that were interpolated in another type.
    np.testing.assert_allclose(found.numpy(), case.exact, rtol=0, atol=1e-6 * np.abs(case.exact).max())


@pytest.fixture
def sound() -> tuple[Any, dict[str, np.ndarray]]:
    encoder = small_encoder(32, width=12, heads=2, channels=8, window=3, depth=2)
    return encoder_config(encoder), encoder_tensors(encoder)


@pytest.mark.parametrize("name", ["patch.weight", "position", "blocks.1.relative_w", "blocks.0.qkv.bias"])
def test_weights_that_are_wrong(sound: tuple[Any, dict[str, np.ndarray]], name: str) -> None:
    config, weights = sound
    value = weights[name]
    hostile: dict[str, np.ndarray | None] = {
        "found no such tensor": None,
        rf"of shape .*, got \[{len(value) + 1}": np.concatenate([value, value[:1]]),
        "got NaN or Inf": np.full_like(value, np.nan),
    }
    for text, wrong in hostile.items():
        changed = {k: v for k, v in weights.items() if k != name}
        if wrong is not None:
            changed[name] = wrong
        with pytest.raises(ValueError, match=f"'{name}'.*{text}"):
            Encoder(config, changed, dtype=torch.float32, device=CPU)
    more = weights | {"more": np.zeros(3, np.float32)}
    with pytest.raises(ValueError, match=r"unknown tensor 'more' of shape \[3\]"):
        Encoder(config, more, dtype=torch.float32, device=CPU)
