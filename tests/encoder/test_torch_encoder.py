"""PyTorch's encoders without padded cells against their models, the native encoders, and what they refuse."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from plain_encoders import plain_encoder_of
from plain_tiny_encoder import vit_t

from asam.export_tiny_encoder import tiny_encoder_config, tiny_encoder_tensors
from asam.model.config import BACKBONES
from asam.model.tiny_vit import TinyViT
from asam_trt import _runtime
from asam_trt.torch_parts.parts import DTYPES, encoder_of

from . import test_tiny
from .conftest import Case, embed, make_case, rms, small_encoder
from .torch_cases import NAMES, TINY, torch_case

CPU = torch.device("cpu")


def encode(case: Case, precision: str) -> np.ndarray:
    encoder = encoder_of(case.config, case.weights, dtype=DTYPES[precision], device=CPU)
    found = encoder(torch.from_numpy(case.image))
    assert (found.dtype, tuple(found.shape)) == (torch.float32, case.exact.shape)
    assert found.is_contiguous()
    return np.asarray(found.double().numpy())


@pytest.mark.parametrize("precision", DTYPES)
@pytest.mark.parametrize("name", NAMES)
def test_equals_the_model(name: str, precision: str) -> None:
    case = torch_case(name)
    difference = encode(case, precision) - case.exact
    # Of halves less than PyTorch loses that rounds residuals and norms too.
    share = 2 if precision == "float32" else 0.8 if name in TINY else 0.6
    allowed = share * rms(case.torch_error(DTYPES[precision]))
    # Of a single cell PyTorch may lose next to nothing by chance.
    assert rms(difference) <= max(allowed, 8 * np.finfo(np.float32).eps * rms(case.exact))
    if precision == "float32":
        assert np.abs(difference).max() <= 1e-5 * np.abs(case.exact).max()


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_native_encoder(name: str) -> None:
    case = torch_case(name)
    native = _runtime.TinyImageEncoder if name in TINY else _runtime.ImageEncoder
    want = native(case.config.as_dict(), case.weights).encode(case.image)
    np.testing.assert_allclose(encode(case, "float32"), want, rtol=0, atol=1e-5 * float(np.abs(want).max()))


def sam_far_apart() -> Case:
    encoder = small_encoder(128, depth=1, global_blocks=())
    with torch.no_grad():
        encoder.blocks[0].attn.rel_pos_h.normal_(std=40)
        encoder.blocks[0].attn.rel_pos_w.normal_(std=40)
    return make_case(encoder)


def mobile_sam_far_apart() -> Case:
    case = test_tiny.make_case(48, test_tiny.SMALL, 16)
    encoder: Any = case.encoder
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if name.endswith("attention_biases"):
                value.normal_(std=1000)
    exact = embed(encoder, case.image, torch.float64)
    return replace(case, exact=exact, weights=tiny_encoder_tensors(encoder))


@pytest.mark.parametrize("make", [sam_far_apart, mobile_sam_far_apart])
def test_scores_far_apart_between_real_and_padded_keys(make: Any) -> None:
    case = make()
    assert rms(encode(case, "float32") - case.exact) <= 2 * rms(case.torch_error(torch.float32))


@pytest.mark.parametrize("name", NAMES)
def test_the_plain_encoder_of_the_benchmarks_is_the_model(name: str) -> None:
    case = torch_case(name)
    found = plain_encoder_of(case.config, case.weights, torch.float64)(torch.from_numpy(case.image).double())
    # Its weights are float32 here as there, but for tables that were interpolated in another type.
    np.testing.assert_allclose(found.numpy(), case.exact, rtol=0, atol=1e-6 * np.abs(case.exact).max())


def test_the_backbone_of_the_benchmarks_is_mobile_sams() -> None:
    sizes = BACKBONES["vit_t"]
    encoder = TinyViT(sizes.encoder, channels=sizes.channels)  # type: ignore[arg-type]
    assert vit_t(64) == tiny_encoder_config(encoder, side=64)


@pytest.mark.parametrize(
    ("case", "name"),
    [("one cell", name) for name in ("patch.weight", "position", "blocks.1.relative_w", "blocks.0.qkv.bias")]
    + [
        ("TinyViT: one cell", name)
        for name in (
            "patch.0.weight",
            "stages.0.blocks.0.depthwise.bias",
            "stages.2.merge.expand.weight",
            *(f"stages.1.blocks.0.{part}" for part in ("qkv.bias", "padded", "biases", "norm2.weight")),
        )
    ],
)
def test_weights_that_are_wrong(case: str, name: str) -> None:
    config, weights = torch_case(case).config, torch_case(case).weights
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
            encoder_of(config, changed, dtype=torch.float32, device=CPU)
    more = weights | {"more": np.zeros(3, np.float32)}
    with pytest.raises(ValueError, match=r"unknown tensor 'more' of shape \[3\]"):
        encoder_of(config, more, dtype=torch.float32, device=CPU)
