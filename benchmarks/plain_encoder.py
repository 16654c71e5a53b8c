"""SAM's image encoder and the latent networks written plainly in PyTorch, over random weights.

What `benchmarks/gpu_frames.py` and `tests/gpu` compare with. Needs PyTorch and NumPy alone. Windows are padded, scores
and what positions add to them are stored, and convolutions are PyTorch's, as in segment_anything.
"""

from __future__ import annotations

from typing import Any

import torch
from plain_module import Draw, PlainModule, Weights
from torch import Tensor
from torch.nn import functional as F

from asam_trt.encoder_spec import EncoderConfig
from asam_trt.prior_spec import PriorConfig


def vit_b(side: int) -> EncoderConfig:
    """SAM's smallest backbone."""
    windows = tuple(0 if i in (2, 5, 8, 11) else 14 for i in range(12))
    return EncoderConfig(side=side, width=768, heads=12, mlp_dim=3072, channels=256, windows=windows)


def prior_of(grid: int, *, prompt: bool, channels: int = 256, latent: int = 256) -> PriorConfig:
    """The latent network of the preset `asam`, of the prompt or of the image."""
    return PriorConfig(
        grid=grid,
        channels=channels,
        latent=latent,
        heads=8 if prompt else 0,
        convs=3,
        widths=(32, 64, 128, 192),
        strided=True,
        log_sigma_range=(-6.0, 2.0),
    )


def random_encoder_weights(config: EncoderConfig, seed: int = 0) -> Weights:
    """Under the names of image_encoder.safetensors; activations keep unit scale."""
    draw = Draw(seed)
    grid, width, channels = config.grid, config.width, config.channels
    out = dict(draw.linear("patch", 768, width))
    out["position"] = draw.normal(grid * grid, width, scale=0.5)
    for i, window in enumerate(config.windows):
        name, side = f"blocks.{i}", window or grid
        for axis in ("relative_h", "relative_w"):
            out[f"{name}.{axis}"] = draw.normal(2 * side - 1, width // config.heads, scale=0.1)
        for part, (width_in, width_out) in {
            "qkv": (width, 3 * width),
            "out": (width, width),
            "mlp.0": (width, config.mlp_dim),
            "mlp.1": (config.mlp_dim, width),
        }.items():
            out.update(draw.linear(f"{name}.{part}", width_in, width_out))
        for part in ("norm1", "norm2"):
            out.update(draw.norm(f"{name}.{part}", width))
    out["neck.0.weight"] = draw.normal(width, channels, scale=width**-0.5)
    out["neck.2.weight"] = draw.normal(9 * channels, channels, scale=(9 * channels) ** -0.5)
    for part in ("neck.1", "neck.3"):
        out.update(draw.norm(part, channels))
    return out


def random_prior_weights(config: PriorConfig, seed: int = 0) -> Weights:
    """Under the names of image_prior.safetensors, or prompt_prior.safetensors where the network sees the prompt."""
    draw = Draw(seed)
    c, inputs = config.channels, config.channels * (2 if config.heads else 1)
    out: Weights = {}
    if config.heads:
        for part in ("q", "k", "v", "out"):
            out.update(draw.linear(part, c, c))
        out["q.bias"], out["null_token"] = draw.normal(config.grid**2, c), draw.normal(c)
    for i, width in enumerate(config.widths):
        for j in range(config.convs):
            out.update(draw.linear(f"blocks.{i}.{j}", 9 * inputs, width, gain=2**0.5))
            inputs = width
    out.update(draw.linear("output", inputs, 2 * config.latent, gain=0.3))
    return out


class PlainEncoder(PlainModule):
    """Image [3, S, S] -> embedding [C, e, e], every step in ``dtype``."""

    def __init__(
        self, config: EncoderConfig, weights: Weights, dtype: torch.dtype, device: str = "cpu"
    ) -> None:
        super().__init__(weights, dtype, device)
        self.config = config

    def norm(self, name: str, x: Tensor, eps: float = 1e-6) -> Tensor:
        return super().norm(name, x, eps)

    def forward(self, image: Tensor) -> Tensor:
        grid = self.config.grid
        patch = self.weight("patch_weight").T.reshape(-1, 3, 16, 16)
        x = F.conv2d(image[None], patch, self.weight("patch_bias"), stride=16).permute(0, 2, 3, 1)
        x = x + self.weight("position").unflatten(0, (grid, grid))
        for i, window in enumerate(self.config.windows):
            name = f"blocks.{i}"
            x = x + self.windowed(name, self.norm(f"{name}.norm1", x), window)
            hidden = F.gelu(self.linear(f"{name}.mlp.0", self.norm(f"{name}.norm2", x)))
            x = x + self.linear(f"{name}.mlp.1", hidden)
        x = self.norm("neck.1", x @ self.weight("neck.0.weight"))
        x = F.conv2d(x.permute(0, 3, 1, 2), self.kernel("neck.2"), padding=1)
        return self.norm("neck.3", x.permute(0, 2, 3, 1))[0].permute(2, 0, 1)

    def windowed(self, name: str, x: Tensor, window: int) -> Tensor:
        """[1, e, e, D] -> the same, by way of windows padded with zeros."""
        grid = self.config.grid
        side = window or grid
        pad = -grid % side
        x = F.pad(x, (0, 0, 0, pad, 0, pad))
        count = (grid + pad) // side
        x = x.unflatten(2, (count, side)).unflatten(1, (count, side)).transpose(2, 3).flatten(0, 2)
        x = self.attention(name, x)
        x = x.unflatten(0, (1, count, count)).transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return x[:, :grid, :grid]

    def attention(self, name: str, x: Tensor) -> Tensor:
        """Windows [N, n, n, D] -> the same."""
        side, heads = x.shape[1], self.config.heads
        qkv = self.linear(f"{name}.qkv", x).flatten(1, 2).unflatten(-1, (3, heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # [N, H, n n, d]
        score = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1)
        cells = torch.arange(side, device=x.device)
        between = cells[:, None] - cells + side - 1
        grid = q.unflatten(2, (side, side))
        h = torch.einsum("nhyxd,ykd->nhyxk", grid, self.weight(f"{name}.relative_h")[between])
        w = torch.einsum("nhyxd,xkd->nhyxk", grid, self.weight(f"{name}.relative_w")[between])
        score = score + (h[..., :, None] + w[..., None, :]).flatten(-2).flatten(2, 3)
        mixed = (score.softmax(-1) @ v).transpose(1, 2).flatten(2)
        return self.linear(f"{name}.out", mixed).unflatten(1, (side, side))


class PlainPrior(PlainModule):
    """Embedding [C, e, e], and of a prompt tokens [t, C] and dense [C] -> mean and sigma [L]."""

    def __init__(
        self, config: PriorConfig, weights: Weights, dtype: torch.dtype, device: str = "cpu"
    ) -> None:
        super().__init__(weights, dtype, device)
        self.config = config

    def forward(self, embedding: Tensor, *prompt: Tensor) -> tuple[Tensor, Tensor]:
        x = embedding[None]
        if prompt:
            x = torch.cat([x, self.said(embedding, *prompt)[None]], dim=1)
        for i in range(len(self.config.widths)):
            for j in range(self.config.convs):
                name, stride = f"blocks.{i}.{j}", 2 if i and j == 0 else 1
                x = F.conv2d(x, self.kernel(name), self.weight(f"{name}.bias"), stride=stride, padding=1)
                x = torch.relu(x)
        mean, log_sigma = self.linear("output", x[0].mean(dim=(1, 2))).chunk(2)
        assert self.config.log_sigma_range is not None
        return mean, log_sigma.clamp(*self.config.log_sigma_range).exp()

    def said(self, embedding: Tensor, tokens: Tensor, dense: Tensor) -> Tensor:
        """What the prompt says about each cell, [C, e, e]."""

        def heads(name: str, x: Tensor) -> Tensor:
            return self.linear(name, x).unflatten(1, (self.config.heads, -1)).transpose(0, 1)

        said = torch.cat([self.weight("null_token")[None], tokens])
        q, k, v = heads("q", embedding.flatten(1).T), heads("k", said), heads("v", said)
        mixed = ((q * q.shape[-1] ** -0.5) @ k.transpose(1, 2)).softmax(-1) @ v
        found: Any = self.linear("out", mixed.transpose(0, 1).flatten(1)) + dense
        return found.T.unflatten(1, embedding.shape[1:])
