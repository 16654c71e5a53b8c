"""TinyViT, the image encoder of MobileSAM and LiteMedSAM, in plain PyTorch, over random weights.

Windows are padded with zeros before their norm, and all of their cells attend.
"""

from __future__ import annotations

import torch
from plain_module import Draw, PlainModule, Weights
from torch import Tensor
from torch.nn import functional as F

from asam_trt.encoder_spec import TinyEncoderConfig

_STRIDES = (1, 2, 2, 1)  # of what leads to a stage
_EXPANSION = 4


def vit_t(side: int) -> TinyEncoderConfig:
    """MobileSAM's backbone."""
    return TinyEncoderConfig(
        side=side,
        channels=256,
        widths=(64, 128, 160, 320),
        depths=(2, 2, 6, 2),
        heads=(2, 4, 5, 10),
        windows=(7, 7, 14, 7),
    )


def _patch(config: TinyEncoderConfig) -> int:
    """Side of the kernels of the patches."""
    return 3 if config.first_cell > 1 else 1


def random_tiny_weights(config: TinyEncoderConfig, seed: int = 0) -> Weights:
    """Under the names of image_encoder.safetensors; activations keep unit scale."""
    draw = Draw(seed)
    first, last, channels = config.widths[0], config.widths[-1], config.channels
    after_gelu = 2**0.5
    taps = _patch(config) ** 2
    out = dict(draw.linear("patch.0", 3 * taps, first // 2))
    out.update(draw.linear("patch.1", taps * first // 2, first, gain=after_gelu))

    def depthwise(name: str, width: int, gain: float) -> None:
        out[f"{name}.weight"] = draw.normal(9, width, scale=gain / 3)
        out[f"{name}.bias"] = draw.normal(width, scale=0.1)

    def bottleneck(name: str, before: int, within: int, after: int) -> None:
        out.update(draw.linear(f"{name}.expand", before, within))
        depthwise(f"{name}.depthwise", within, after_gelu)
        out.update(draw.linear(f"{name}.project", within, after, gain=after_gelu))

    def block(name: str, width: int, heads: int, window: int) -> None:
        for part in ("norm1", "norm2"):
            out.update(draw.norm(f"{name}.{part}", width))
        for part, (width_in, width_out) in {
            "qkv": (width, 3 * width),
            "out": (width, width),
            "mlp.0": (width, _EXPANSION * width),
            "mlp.1": (_EXPANSION * width, width),
        }.items():
            out.update(draw.linear(f"{name}.{part}", width_in, width_out))
        depthwise(f"{name}.depthwise", width, 1.0)
        out[f"{name}.biases"] = draw.normal(heads, window**2, scale=0.5)
        of_zeros = out[f"{name}.norm1.bias"] @ out[f"{name}.qkv.weight"] + out[f"{name}.qkv.bias"]
        out[f"{name}.padded"] = of_zeros.reshape(3, heads, -1)[1:].copy()

    for i, width in enumerate(config.widths):
        if i:
            bottleneck(f"stages.{i}.merge", config.widths[i - 1], width, width)
        for j in range(config.depths[i]):
            name = f"stages.{i}.blocks.{j}"
            if i:
                block(name, width, config.heads[i], config.windows[i])
            else:
                bottleneck(name, width, _EXPANSION * width, width)
    out["neck.0.weight"] = draw.normal(last, channels, scale=last**-0.5)
    out["neck.2.weight"] = draw.normal(9 * channels, channels, scale=(9 * channels) ** -0.5)
    for part in ("neck.1", "neck.3"):
        out.update(draw.norm(part, channels))
    return out


class PlainTinyEncoder(PlainModule):
    """Image [3, S, S] -> embedding [C, e, e], every step in ``dtype``. Maps are [1, c, h, w]."""

    def __init__(
        self, config: TinyEncoderConfig, weights: Weights, dtype: torch.dtype, device: str = "cpu"
    ) -> None:
        super().__init__(weights, dtype, device)
        self.config = config

    def forward(self, image: Tensor) -> Tensor:
        side = _patch(self.config)
        options = {"stride": 2, "padding": 1} if side > 1 else {}
        first, second = self.weight("patch_0_weight"), self.weight("patch_1_weight")
        x = F.conv2d(
            image[None], first.T.unflatten(1, (3, side, side)), self.weight("patch_0_bias"), **options
        )
        kernel = second.unflatten(0, (side, side, -1)).permute(3, 2, 0, 1)
        x = F.conv2d(F.gelu(x), kernel, self.weight("patch_1_bias"), **options)
        for i in range(len(self.config.widths)):
            if i:
                x = self.bottleneck(f"stages.{i}.merge", x, _STRIDES[i])
            for j in range(self.config.depths[i]):
                name = f"stages.{i}.blocks.{j}"
                x = self.block(name, x, i) if i else F.gelu(x + self.bottleneck(name, x))
        x = self.norm("neck.1", x.permute(0, 2, 3, 1) @ self.weight("neck.0.weight"), 1e-6)
        x = F.conv2d(x.permute(0, 3, 1, 2), self.kernel("neck.2"), padding=1)
        return self.norm("neck.3", x.permute(0, 2, 3, 1), 1e-6)[0].permute(2, 0, 1)

    def pointwise(self, name: str, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight(f"{name}.weight").T[..., None, None], self.weight(f"{name}.bias"))

    def depthwise(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        kernel = self.weight(f"{name}.weight").T.unflatten(1, (1, 3, 3))
        return F.conv2d(x, kernel, self.weight(f"{name}.bias"), stride, padding=1, groups=x.shape[1])

    def bottleneck(self, name: str, x: Tensor, stride: int = 1) -> Tensor:
        x = F.gelu(self.pointwise(f"{name}.expand", x))
        return self.pointwise(f"{name}.project", F.gelu(self.depthwise(f"{name}.depthwise", x, stride)))

    def block(self, name: str, x: Tensor, stage: int) -> Tensor:
        x = x + self.windowed(name, x, self.config.heads[stage], self.config.windows[stage])
        x = self.depthwise(f"{name}.depthwise", x)
        cells = x.permute(0, 2, 3, 1)
        hidden = F.gelu(self.linear(f"{name}.mlp.0", self.norm(f"{name}.norm2", cells)))
        return x + self.linear(f"{name}.mlp.1", hidden).permute(0, 3, 1, 2)

    def windowed(self, name: str, x: Tensor, heads: int, window: int) -> Tensor:
        grid = x.shape[2]
        pad = -grid % window
        count = (grid + pad) // window
        x = F.pad(x, (0, pad, 0, pad)).permute(0, 2, 3, 1)
        x = x.unflatten(2, (count, window)).unflatten(1, (count, window)).transpose(2, 3).flatten(0, 2)
        x = self.attention(name, self.norm(f"{name}.norm1", x.flatten(1, 2)), heads, window)
        x = x.unflatten(1, (window, window)).unflatten(0, (1, count, count))
        x = x.transpose(2, 3).flatten(3, 4).flatten(1, 2)
        return x[:, :grid, :grid].permute(0, 3, 1, 2)

    def attention(self, name: str, x: Tensor, heads: int, window: int) -> Tensor:
        """Windows [N, n n, D] -> the same."""
        q, k, v = self.linear(f"{name}.qkv", x).unflatten(-1, (3, heads, -1)).permute(2, 0, 3, 1, 4)
        cells = torch.arange(window, device=x.device)
        apart = (cells[:, None] - cells).abs()
        table = self.weight(f"{name}.biases").unflatten(1, (window, window))
        place = table[:, apart[:, None, :, None], apart[None, :, None, :]].flatten(3).flatten(1, 2)
        score = (q * q.shape[-1] ** -0.5) @ k.transpose(-2, -1) + place
        return self.linear(f"{name}.out", (score.softmax(-1) @ v).transpose(1, 2).flatten(2))
