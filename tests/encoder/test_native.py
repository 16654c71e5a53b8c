"""The native encoder against float64, its promise of the same bits, and what it refuses."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from asam.export_encoder import encoder_config, encoder_tensors
from asam.model.backbone import image_encoder
from asam.model.config import ModelConfig
from asam_trt import _ops, _runtime

from .conftest import (
    CASES,
    error_in_8_bits,
    expect_near,
    expect_the_same_bits,
    make_case,
    rms,
    small_encoder,
)

ISAS = _ops.supported_isas()
# A share of the error that PyTorch makes in a type of its own; of float32 2: a large map sums more terms than one
# number has digits.
MOST = {"float32": (2, torch.float32), "int16": (0.5, torch.bfloat16)}


def native(case: Any, **options: Any) -> Any:
    return _runtime.ImageEncoder(case.config.as_dict(), case.weights, **options)


@pytest.mark.parametrize("precision", MOST)
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CASES)
def test_native_equals_segment_anything(
    case_of: Callable[[str], Any], name: str, isa: str, precision: str
) -> None:
    case = case_of(name)
    encoder = native(case, isa=isa, precision=precision)
    assert (encoder.isa, encoder.precision) == (isa, precision)
    expect_near(case, encoder, *MOST[precision])


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", CASES)
def test_int8_loses_what_8_bits_lose(case_of: Callable[[str], Any], name: str, isa: str) -> None:
    case = case_of(name)
    encoder = native(case, isa=isa, precision="int8")
    assert encoder.precision == "int8"
    error, expected = rms(encoder.encode(case.image) - case.exact), rms(error_in_8_bits(case))
    assert 0.5 * expected <= error <= 1.5 * expected


@pytest.mark.parametrize("precision", [*MOST, "int8"])
@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["window larger than the grid", "many windows, one column over"])
def test_same_bits_for_every_number_of_threads(
    case_of: Callable[[str], Any], name: str, isa: str, precision: str
) -> None:
    case = case_of(name)
    encoder = native(case, isa=isa, precision=precision)
    expect_the_same_bits(encoder, case.image)


def test_one_encoder_from_several_threads(case_of: Callable[[str], Any]) -> None:
    case = case_of("window larger than the grid")
    encoder = native(case)
    images = [case.image, np.ascontiguousarray(case.image[:, ::-1])]
    want = [encoder.encode(image) for image in images]
    failures = []

    def work() -> None:
        for _ in range(10):
            for image, expected in zip(images, want, strict=True):
                if not np.array_equal(encoder.encode(image), expected):
                    failures.append(image)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures


def test_scores_far_apart_between_real_and_padded_keys() -> None:
    encoder = small_encoder(128, depth=1, global_blocks=())
    with torch.no_grad():
        encoder.blocks[0].attn.rel_pos_h.normal_(std=40)
        encoder.blocks[0].attn.rel_pos_w.normal_(std=40)
    case = make_case(encoder)
    for isa in ISAS:
        error = native(case, isa=isa).encode(case.image) - case.exact
        assert rms(error) <= 2 * rms(case.torch_error(torch.float32))


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "side"), [("vit_b", 128), ("nano", 128), ("nano", 240)])
def test_backbones(backbone: str, side: int) -> None:
    torch.manual_seed(0)
    case = make_case(image_encoder(ModelConfig(backbone=backbone, image_size=side)))
    error = native(case).encode(case.image) - case.exact
    assert np.abs(error).max() <= 1e-4 * np.abs(case.exact).max()
    error = native(case, precision="int16").encode(case.image) - case.exact
    assert rms(error) <= 0.5 * rms(case.torch_error(torch.bfloat16))


def test_images_that_are_none(case_of: Callable[[str], Any]) -> None:
    case = case_of("one cell")
    encoder = native(case)
    with pytest.raises(ValueError, match=r"image: expected shape \[3, 16, 16\], got \[3, 32, 16\]"):
        encoder.encode(np.zeros((3, 32, 16), np.float32))
    with pytest.raises(ValueError, match="3 axes"):
        encoder.encode(np.zeros((16, 16), np.float32))
    with pytest.raises(TypeError, match="float64"):
        encoder.encode(case.image.astype(np.float64))
    with pytest.raises(ValueError, match="C-contiguous"):
        encoder.encode(case.image.transpose(0, 2, 1))
    for value in (np.nan, np.inf):
        broken = case.image.copy()
        broken[1, 2, 3] = value
        with pytest.raises(ValueError, match="finite"):
            encoder.encode(broken)


@pytest.fixture
def sound() -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    encoder = small_encoder(32, width=12, heads=2, channels=8, window=3, depth=2)
    return encoder_config(encoder).as_dict(), encoder_tensors(encoder)


@pytest.mark.parametrize(
    "name", ["patch.weight", "position", "blocks.1.relative_w", "blocks.0.qkv.bias", "neck.3.bias"]
)
def test_weights_that_are_wrong(sound: tuple[dict[str, Any], dict[str, np.ndarray]], name: str) -> None:
    config, weights = sound
    value = weights[name]
    hostile: dict[str, np.ndarray | None] = {
        "found no such tensor": None,
        "of shape": np.concatenate([value, value[:1]]),
        "got NaN or Inf": np.full_like(value, np.nan),
    }
    for text, wrong in hostile.items():
        changed = {k: v for k, v in weights.items() if k != name}
        if wrong is not None:
            changed[name] = wrong
        with pytest.raises(ValueError, match=rf"'{name}'.*{text}"):
            _runtime.ImageEncoder(config, changed)
    with pytest.raises(TypeError, match="float32"):
        _runtime.ImageEncoder(config, weights | {name: value.astype(np.float64)})


def test_strange_weights_are_named(sound: tuple[dict[str, Any], dict[str, np.ndarray]]) -> None:
    config, weights = sound
    with pytest.raises(ValueError, match=r"unknown tensor 'blocks\.2\.norm1\.weight'"):
        _runtime.ImageEncoder(config, weights | {"blocks.2.norm1.weight": np.ones(12, np.float32)})


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"side": 0}, r"config\['side'\]: expected 1 .."),
        ({"side": 40}, "multiple of 16"),
        ({"side": 1 << 40}, r"config\['side'\]"),
        ({"heads": 5}, "divisor of width"),
        ({"heads": -1}, r"config\['heads'\]"),
        ({"windows": [-1, 0]}, r"config\['windows'\]"),
        ({"windows": [1 << 40, 0]}, r"config\['windows'\]"),
        ({"width": 24}, "of shape"),
        ({"windows": [3]}, "unknown tensor"),
    ],
)
def test_sizes_that_do_not_fit(
    sound: tuple[dict[str, Any], dict[str, np.ndarray]], change: dict[str, Any], text: str
) -> None:
    config, weights = sound
    with pytest.raises(ValueError, match=text):
        _runtime.ImageEncoder(config | change, weights)


@pytest.mark.parametrize("change", [{"side": 32.0}, {"side": True}, {"windows": 3}, {"windows": ["3", 0]}])
def test_sizes_of_another_type(
    sound: tuple[dict[str, Any], dict[str, np.ndarray]], change: dict[str, Any]
) -> None:
    config, weights = sound
    with pytest.raises(TypeError, match="config"):
        _runtime.ImageEncoder(config | change, weights)


def test_unknown_options(sound: tuple[dict[str, Any], dict[str, np.ndarray]]) -> None:
    config, weights = sound
    with pytest.raises(ValueError, match="instruction set 'mmx'"):
        _runtime.ImageEncoder(config, weights, isa="mmx")
    with pytest.raises(ValueError, match="precision 'int4'"):
        _runtime.ImageEncoder(config, weights, precision="int4")
