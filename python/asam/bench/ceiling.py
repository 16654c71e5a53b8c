"""What the sampler must compute, and how fast this machine multiplies large matrices."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch

from asam.model import ModelConfig

_DEPTH = 2  # blocks of SAM's two-way transformer
_SIDE = 2048
_RUNS = 15


@dataclass(frozen=True)
class MultiplyAdds:
    """Of one hypothesis.

    Attributes:
        plain: SAM's decoder and the combiners as they are written, all of it once a hypothesis.
        reduced: with the identities 1-6 of docs/architecture.md.
        prefix: the part of ``reduced``'s saving that identity 4 moves to the prompt.
    """

    plain: int
    reduced: int
    prefix: int


def multiply_adds(config: ModelConfig, *, prompt_tokens: int = 2, combiner_layers: int = 4) -> MultiplyAdds:
    """Count them for a prompt of so many tokens (a box has 2).

    Products of matrices, attention and convolutions; biases, norms, activations and the resize of the masks
    to the image are left out, since they are a few per cent.
    """
    sizes, p = config.sizes, config.grid**2
    c, latent, k = sizes.channels, sizes.latent, config.mask_tokens
    t = 1 + (k + 1) + prompt_tokens
    inner = c // 2  # SAM's cross attention works on half the channels

    cross = 2 * (t * c * inner) + 2 * (p * c * inner) + 2 * (t * p * inner)
    self_attention = 4 * (t * c * c) + 2 * (t * t * c)
    mlp = 2 * (t * c * sizes.decoder_mlp)
    transformer = _DEPTH * (self_attention + 2 * cross + mlp) + cross
    upscale = p * c * c + p * c * c // 2
    hyper = 2 * c * c + c * (c // 8)
    mask = 16 * p * (c // 8)
    quality_hidden = c * sizes.iou_hidden + sizes.iou_hidden**2

    combiner = p * ((c + latent) * c + (combiner_layers - 1) * c * c)
    quality = quality_hidden + sizes.iou_hidden * (k + 1)
    plain = 2 * combiner + transformer + upscale + (k + 1) * (hyper + mask) + quality

    rest = (combiner_layers - 1) * c * c
    combiner_image = latent * c + p * rest
    combiner_prompt = (
        latent * c + (p if config.draws_prompts else 1) * rest
    )  # a drawn prompt differs from cell to cell
    prefix = self_attention + t * c * inner
    reduced = (
        combiner_image
        + combiner_prompt
        + transformer
        - prefix
        + upscale
        + k * hyper
        + mask
        + quality_hidden
        + sizes.iou_hidden
    )
    return MultiplyAdds(plain, reduced, prefix)


def matmul_peak(dtype: torch.dtype) -> float:
    """Multiply-adds a second of the best of several large matrix products in ``dtype``, with torch's threads."""
    with torch.inference_mode():
        a, b = torch.rand(_SIDE, _SIDE, dtype=dtype), torch.rand(_SIDE, _SIDE, dtype=dtype)
        out = torch.mm(a, b)
        times = []
        for _ in range(_RUNS):
            start = time.perf_counter()
            torch.mm(a, b, out=out)
            times.append(time.perf_counter() - start)
    return _SIDE**3 / min(times)
