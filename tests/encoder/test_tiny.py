"""MobileSAM's encoder in native code against float64, its promise of the same bits, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from asam.export_tiny_encoder import tiny_encoder_config, tiny_encoder_tensors
from asam.model.config import BACKBONES, TinyViTSizes
from asam.model.tiny_vit import TinyViT
from asam_trt import _ops, _runtime
from asam_trt.encoder_spec import TinyEncoderConfig, encoder_from_json

from .conftest import Case, embed, error_in_8_bits, expect_near, expect_the_same_bits, rms

ISAS = _ops.supported_isas()
# A share of the error that PyTorch makes in a type of its own.
MOST = {"float32": (4, torch.float32), "int16": (0.5, torch.bfloat16)}
SMALL = TinyViTSizes(widths=(16, 32, 48, 64), depths=(2, 1, 2, 1), heads=(1, 1, 3, 2), windows=(7, 3, 5, 2))
ODD = TinyViTSizes(widths=(6, 14, 18, 33), depths=(1, 1, 1, 2), heads=(2, 2, 3, 3), windows=(1, 7, 14, 4))
WIDE = TinyViTSizes(widths=(10, 40, 66, 140), depths=(1, 1, 1, 1), heads=(1, 1, 2, 1), windows=(1, 3, 2, 3))
CASES: dict[str, tuple[int, TinyViTSizes, int]] = {
    "heads of more than a panel": (64, WIDE, 24),
    "one cell": (16, SMALL, 20),
    "windows that fit and padded ones": (96, SMALL, 32),
    "beside lane edges": (144, ODD, 21),
    "one pixel a cell at first": (16, replace(SMALL, cell=4), 12),
    "one pixel a cell at first, beside lane edges": (48, replace(ODD, cell=4), 21),
    "MobileSAM's at S = 128": (128, BACKBONES["vit_t"].encoder, 256),  # type: ignore[dict-item]
    "LiteMedSAM's at S = 32": (32, BACKBONES["lite_medsam"].encoder, 256),  # type: ignore[dict-item]
}


def make_case(side: int, sizes: TinyViTSizes, channels: int) -> Case:
    """Biases, norms and statistics away from their neutral starts, so that none of them can be left out."""
    torch.manual_seed(0)
    encoder = TinyViT(sizes, channels=channels).eval()
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if value.ndim == 1 or "attention_biases" in name:
                value.add_(0.3 * torch.randn(value.shape))
        for name, value in encoder.named_buffers():
            value.copy_(torch.rand(value.shape) + (0.5 if name.endswith("running_var") else -0.5))
    image = np.random.default_rng(2).standard_normal((3, side, side)).astype(np.float32)
    exact = embed(encoder, image, torch.float64)
    return Case(encoder, image, exact, tiny_encoder_config(encoder, side=side), tiny_encoder_tensors(encoder))


@pytest.fixture(scope="module")
def case_of() -> Callable[[str], Case]:
    """Cases by name."""
    return cache(lambda name: make_case(*CASES[name]))


def native(case: Case, **options: Any) -> Any:
    return _runtime.TinyImageEncoder(case.config.as_dict(), case.weights, **options)


@pytest.mark.parametrize("precision", MOST)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CASES)
def test_native_equals_pytorch(case_of: Callable[[str], Case], name: str, isa: str, precision: str) -> None:
    case = case_of(name)
    encoder = native(case, isa=isa, precision=precision)
    assert (encoder.isa, encoder.precision) == (isa, precision)
    expect_near(case, encoder, *MOST[precision])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CASES)
def test_int8_loses_what_8_bits_lose(case_of: Callable[[str], Case], name: str, isa: str) -> None:
    case = case_of(name)
    error, in_16_bits = (
        rms(native(case, isa=isa, precision=precision).encode(case.image) - case.exact)
        for precision in ("int8", "int16")
    )
    expected = rms(error_in_8_bits(case))
    assert (
        0.5 * expected <= error <= 1.5 * (expected + in_16_bits)
    )  # outside the blocks it computes in 16 bits


@pytest.mark.parametrize("precision", [*MOST, "int8"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize(
    "name",
    [
        "windows that fit and padded ones",
        "beside lane edges",
        "one pixel a cell at first, beside lane edges",
    ],
)
def test_same_bits_for_every_number_of_threads(
    case_of: Callable[[str], Case], name: str, isa: str, precision: str
) -> None:
    case = case_of(name)
    encoder = native(case, isa=isa, precision=precision)
    expect_the_same_bits(encoder, case.image)


def test_scores_far_apart_between_real_and_padded_keys() -> None:
    case = make_case(48, SMALL, 16)
    with torch.no_grad():
        for name, value in case.encoder.named_parameters():
            if name.endswith("attention_biases"):
                value.normal_(std=1000)
    image = case.image
    encoder: Any = case.encoder
    exact = embed(encoder, image, torch.float64)
    weights = tiny_encoder_tensors(encoder)
    for isa in ISAS:
        found = _runtime.TinyImageEncoder(case.config.as_dict(), weights, isa=isa).encode(image)
        assert rms(found - exact) <= 4 * rms(embed(encoder, image, torch.float32) - exact)


def test_images_that_are_none(case_of: Callable[[str], Case]) -> None:
    case = case_of("one cell")
    encoder = native(case)
    with pytest.raises(ValueError, match=r"image: expected shape \[3, 16, 16\], got \[3, 32, 16\]"):
        encoder.encode(np.zeros((3, 32, 16), np.float32))
    broken = case.image.copy()
    broken[1, 2, 3] = np.nan
    with pytest.raises(ValueError, match="finite"):
        encoder.encode(broken)


@pytest.mark.parametrize(
    "name",
    ["patch.0.weight", "stages.0.blocks.0.depthwise.bias", "stages.2.merge.expand.weight"]
    + [f"stages.1.blocks.0.{part}" for part in ("qkv.bias", "padded", "biases", "norm2.weight")],
)
def test_weights_that_are_wrong(case_of: Callable[[str], Case], name: str) -> None:
    case = case_of("one cell")
    config, value = case.config.as_dict(), case.weights[name]
    hostile: dict[str, np.ndarray | None] = {
        "found no such tensor": None,
        "of shape": np.concatenate([value, value[:1]]),
        "got NaN or Inf": np.full_like(value, np.nan),
    }
    for text, wrong in hostile.items():
        changed = {k: v for k, v in case.weights.items() if k != name}
        if wrong is not None:
            changed[name] = wrong
        with pytest.raises(ValueError, match=rf"'{name}'.*{text}"):
            _runtime.TinyImageEncoder(config, changed)


def test_strange_weights_are_named(case_of: Callable[[str], Case]) -> None:
    case = case_of("one cell")
    config = case.config.as_dict()
    with pytest.raises(ValueError, match=r"unknown tensor 'stages\.1\.blocks\.9\.norm1\.bias'"):
        _runtime.TinyImageEncoder(
            config, case.weights | {"stages.1.blocks.9.norm1.bias": np.ones(3, np.float32)}
        )


WRONG_SIZES: list[tuple[dict[str, Any], str]] = [
    ({"side": 0}, r"config\['side'\]: expected 1"),
    ({"side": 40}, "multiple of 16"),
    ({"side": 1 << 40}, r"config\['side'\]"),
    ({"cell": 8}, r"config\['cell'\]: expected .*16.* got 8"),
    (
        {"cell": 4, "side": 1040},
        r"config\['side'\]: expected .*at most 1024 with cells of 4 pixels, got 1040",
    ),
    ({"channels": 0}, r"config\['channels'\]"),
    ({"widths": [16, 32, 48]}, "one entry a stage, 4, got 3"),
    ({"widths": [15, 32, 48, 64]}, "an even first one, got 15"),
    ({"depths": [2, 1, 1 << 40, 1]}, r"config\['depths'\]"),
    ({"heads": [1, 5, 3, 2]}, "divisor of width 32, got 5"),
    ({"windows": [7, 0, 5, 2]}, r"config\['windows'\]"),
    ({"windows": [7, 3, 65, 2]}, r"config\['windows'\]"),
    ({"windows": [7, 3, 63, 2]}, "at most 16777216 pairs of cells"),
]


@pytest.mark.parametrize(("change", "text"), WRONG_SIZES)
def test_sizes_that_do_not_fit(case_of: Callable[[str], Case], change: dict[str, Any], text: str) -> None:
    case = case_of("one cell")
    config = case.config.as_dict() | change
    with pytest.raises(ValueError, match=text):
        _runtime.TinyImageEncoder(config, case.weights)
    with pytest.raises(ValueError, match=text):
        TinyEncoderConfig.of(config)


@pytest.mark.parametrize(
    "change", [{"side": 32.0}, {"channels": True}, {"windows": 3}, {"heads": ["3", 1, 1, 1]}]
)
def test_sizes_of_another_type(case_of: Callable[[str], Case], change: dict[str, Any]) -> None:
    case = case_of("one cell")
    config = case.config.as_dict() | change
    with pytest.raises(TypeError, match=next(iter(change))):
        _runtime.TinyImageEncoder(config, case.weights)
    with pytest.raises(TypeError, match=next(iter(change))):
        TinyEncoderConfig.of(config)


def test_sizes_are_written_and_read(case_of: Callable[[str], Case]) -> None:
    config = case_of("one cell").config
    assert encoder_from_json(config.to_json()) == config
    lite = replace(config, cell=4)
    assert (encoder_from_json(lite.to_json()), lite.grid, config.grid) == (lite, 4, 1)
    before = {name: value for name, value in config.as_dict().items() if name != "cell"}
    assert TinyEncoderConfig.of(before) == config  # of engines from before there was a choice
    with pytest.raises(ValueError, match="expected the entries"):
        TinyEncoderConfig.of({"side": 32})
