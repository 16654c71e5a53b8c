"""Image encoders of segment_anything with random weights, at sizes where windows and grid do not fit."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from segment_anything.modeling import ImageEncoderViT
from torch import nn

from asam.export_encoder import encoder_config, encoder_tensors
from asam_trt import _runtime
from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "benchmarks"))  # for plain_encoder.py


@pytest.fixture(autouse=True, scope="session")
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    before = _runtime.get_num_threads()
    yield
    _runtime.set_num_threads(before)


@dataclass(frozen=True)
class Case:
    """One random encoder, an image float32 [3, S, S], and the embedding that float64 makes of it."""

    encoder: nn.Module
    image: np.ndarray
    exact: np.ndarray
    config: EncoderConfig | TinyEncoderConfig
    weights: dict[str, np.ndarray]

    def torch_error(self, dtype: torch.dtype) -> np.ndarray:
        """What PyTorch's own arithmetic in a type costs."""
        return embed(self.encoder, self.image, dtype) - self.exact


def embed(encoder: nn.Module, image: np.ndarray, dtype: torch.dtype) -> np.ndarray:
    """float64 [C, e, e], computed in ``dtype``."""
    with torch.no_grad():
        found = copy.deepcopy(encoder).to(dtype)(torch.from_numpy(image)[None].to(dtype))
    return np.asarray(found[0].double().numpy())


def rms(error: np.ndarray) -> float:
    return float(np.sqrt((error * error).mean()))


def in_8_bits(x: torch.Tensor, *, signed: bool) -> torch.Tensor:
    """x rounded to 255 levels a row: -127 .. 127 steps, or from the smallest to the largest with 0 among them."""
    if signed:
        step = x.abs().amax(-1, keepdim=True).clamp_min(1e-30) / 127
        return (x / step).round() * step
    low, high = x.amin(-1, keepdim=True).clamp_max(0), x.amax(-1, keepdim=True).clamp_min(0)
    step = ((high - low) / 255).clamp_min(1e-30)
    zero = (-low / step).round()
    return (((x / step).round() + zero).clamp(0, 255) - zero) * step


def error_in_8_bits(case: Case) -> np.ndarray:
    """Of the encoder in float64 whose linear layers, those of its blocks, take numbers and weights in 8 bits."""
    encoder = copy.deepcopy(case.encoder).double()
    for module in encoder.modules():
        if isinstance(module, nn.Linear):
            module.weight.data = in_8_bits(module.weight.data, signed=True)
            module.register_forward_pre_hook(lambda _, given: (in_8_bits(given[0], signed=False),))
    with torch.no_grad():
        found = encoder(torch.from_numpy(case.image).double()[None])[0]
    return np.asarray(found.numpy() - case.exact)


def expect_near(case: Case, encoder: Any, share: float, dtype: torch.dtype) -> None:
    """That a native encoder errs by at most a share of what PyTorch does in a type, and in float32 by little."""
    found = encoder.encode(case.image)
    assert found.dtype == np.float32
    assert found.shape == case.exact.shape
    assert rms(found - case.exact) <= share * rms(case.torch_error(dtype))
    if encoder.precision == "float32":
        assert np.abs(found - case.exact).max() <= 1e-4 * np.abs(case.exact).max()


def expect_the_same_bits(encoder: Any, image: np.ndarray) -> None:
    """From every number of threads."""
    _runtime.set_num_threads(1)
    alone = encoder.encode(image)
    for threads in (2, 3, 7):
        _runtime.set_num_threads(threads)
        np.testing.assert_array_equal(encoder.encode(image), alone)


def make_case(encoder: ImageEncoderViT) -> Case:
    """Biases, norms and positions away from their neutral starts, so that none of them can be left out."""
    encoder = encoder.eval()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in encoder.named_parameters():
            if value.ndim == 1 or "rel_pos" in name or name == "pos_embed":
                value.add_(0.5 * torch.randn(value.shape, generator=generator))
    side = encoder.img_size
    image = np.random.default_rng(2).standard_normal((3, side, side)).astype(np.float32)
    exact = embed(encoder, image, torch.float64)
    return Case(encoder, image, exact, encoder_config(encoder), encoder_tensors(encoder))


def small_encoder(
    side: int,
    *,
    width: int = 64,
    heads: int = 4,
    channels: int = 32,
    window: int = 14,
    depth: int = 3,
    global_blocks: tuple[int, ...] = (1,),
) -> ImageEncoderViT:
    torch.manual_seed(0)
    return ImageEncoderViT(
        img_size=side,
        embed_dim=width,
        depth=depth,
        num_heads=heads,
        out_chans=channels,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=window,
        global_attn_indexes=global_blocks,
    )


CASES: dict[str, dict[str, Any]] = {
    "one cell": {"side": 16},
    "window larger than the grid": {"side": 128},
    "two windows, padded": {"side": 256, "depth": 2},
    "windows that fit": {"side": 96, "window": 3},
    "many windows, one column over": {"side": 112, "window": 3},
    "beside lane edges": {"side": 144, "width": 51, "heads": 3, "channels": 21, "window": 4},
    "wide heads": {"side": 80, "width": 160, "heads": 2, "window": 4},
}


@pytest.fixture(scope="session")
def case_of() -> Callable[[str], Case]:
    """Cases by name."""
    return cache(lambda name: make_case(small_encoder(**CASES[name])))
