"""All that PyTorch takes of an engine with MobileSAM's encoder, against the native code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from plain_engine import random_engine
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from asam_trt import EngineError, bundle
from asam_trt.backends.cpu import CpuParts
from asam_trt.encoder_spec import TinyEncoderConfig
from asam_trt.sampler_spec import SamplerConfig
from asam_trt.torch_parts.parts import TorchParts

SAMPLER = SamplerConfig(side=96, grid=6, channels=32, latent=8, mask_tokens=2, heads=4, mlp_dim=32)
ENCODER = TinyEncoderConfig(
    side=96,
    channels=32,
    widths=(8, 12, 16, 16),
    depths=(1, 1, 2, 1),
    heads=(1, 1, 2, 2),
    windows=(7, 7, 14, 4),
)


@pytest.fixture
def engine(tmp_path: Path) -> bundle.EngineBundle:
    return random_engine(tmp_path / "tiny.asam", SAMPLER, ENCODER)


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_parts_are_the_native_ones(engine: bundle.EngineBundle) -> None:
    assert engine.has_torch_parts
    parts, native = TorchParts(engine, "float32", "cpu"), CpuParts(engine, 1, "float32", "native")
    images = [parts.encode(draw(i, 3, 96, 96)) for i in range(2)]
    for i, image in enumerate(images):
        want = native.encode(draw(i, 3, 96, 96))
        tokens, dense = draw(2, 3, 32), draw(3, 32, 6, 6)
        given: list[tuple[Any, Any]] = [(image, want)]
        given.append((parts.prior(image[0], tokens, dense), native.prior(want[0], tokens, dense)))
        for found, expected in given:
            for a, b in zip(found, expected, strict=True):
                assert a.shape == b.shape
                np.testing.assert_allclose(a.owner.numpy(), b, rtol=0, atol=1e-5 * np.abs(b).max())


def test_bad_weights_are_the_engines_mistake(engine: bundle.EngineBundle) -> None:
    file = engine.path / bundle.ENCODER_WEIGHTS
    with safe_open(file, "numpy") as stored:
        sizes = stored.metadata()
    save_file(load_file(file) | {"extra": np.zeros(3, np.float32)}, file, sizes)
    with pytest.raises(EngineError, match=r"image_encoder\.safetensors: weights: unknown tensor 'extra'"):
        TorchParts(engine, "bf16", "cpu")
