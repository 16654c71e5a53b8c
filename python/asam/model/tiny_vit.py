"""TinyViT (Wu et al., ECCV 2022) as MobileSAM has it (Zhang et al. 2023): SAM's image encoder for small machines.

LiteMedSAM (Ma et al. 2024) has it too, with the first stage at every pixel and not at every fourth. Modules and
parameters have the names of these files. Two things are computed otherwise:

- Batch norm keeps the statistics that it was read with, in training too, so that a sample's answer does not depend on
  what else is in its batch.
- No padded cell is computed. Windows that reach beyond the grid are padded with zeros before their norm, so that every
  padded cell has the same key k and value v, and what a query q gives to it is exp(q . k / sqrt(d) + b), where b is
  learned of the distance alone. All padded cells are then one key of bias log(sum of exp(b)), which no input changes:
  at S = 128, 64 + 1 keys and not 196 in a window of 14 x 14.
"""

from __future__ import annotations

from typing import Literal

import torch
from segment_anything.modeling.common import LayerNorm2d
from torch import nn
from torch.nn import functional

from asam.model.config import TinyViTSizes
from asam_trt.torch_parts.distance_mask import distance_scores
from asam_trt.torch_parts.windows import Stripe, cut, put_back, stripes

NORM_EPS = 1e-5  # of batch norms
_EXPANSION = 4  # of channels inside MBConv and of the MLPs
_STRIDES = (2, 2, 1)  # of the mergings before the second to fourth stage


class FixedNorm(nn.Module):
    """Batch norm by statistics that stay as they are; scale and shift may train."""

    running_mean: torch.Tensor
    running_var: torch.Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same."""
        return functional.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=NORM_EPS
        )


class ConvNorm(nn.Sequential):
    """A convolution without bias, then the norm; odd kernels keep the size, divided by the stride.

    ``after`` is what its input comes from, "relu" (which stands for the GELU) or "linear": nothing but the kernels
    keeps a fresh network's scale, and without it the embedding does not depend on the image.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        groups: int = 1,
        after: Literal["relu", "linear"] = "relu",
    ) -> None:
        super().__init__()
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        nn.init.kaiming_normal_(conv.weight, nonlinearity=after)
        self.add_module("c", conv)
        self.add_module("bn", FixedNorm(outputs))


class MBConv(nn.Module):
    """1x1 to four times the channels, 3x3 by channel, 1x1 back, and the input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = _EXPANSION * channels
        self.conv1 = ConvNorm(channels, inner)
        self.conv2 = ConvNorm(inner, inner, 3, groups=inner)
        self.conv3 = ConvNorm(inner, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """[B, C, h, w] -> the same."""
        inner = functional.gelu(self.conv2(functional.gelu(self.conv1(x))))
        return functional.gelu(x + self.conv3(inner))


class PatchMerging(nn.Module):
    """From a stage to the next: [B, C, h, w] -> [B, C', h / stride, w / stride]."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(inputs, outputs)
        self.conv2 = ConvNorm(outputs, outputs, 3, stride=stride, groups=outputs)
        self.conv3 = ConvNorm(outputs, outputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        merged: torch.Tensor = self.conv3(functional.gelu(self.conv2(functional.gelu(self.conv1(x)))))
        return merged


class WindowAttention(nn.Module):
    """Attention in windows of the grid, its norm included: [B, h, w, C] -> the same.

    A head's score has a learned term ``attention_biases`` [heads, window * window] of the rows and columns between
    query and key, whatever their signs.
    """

    def __init__(self, channels: int, *, heads: int, window: int) -> None:
        super().__init__()
        self.heads = heads
        self.window = window
        self.norm = nn.LayerNorm(channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
        self.attention_biases = nn.Parameter(torch.zeros(heads, window * window))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = self._projected(self.norm(x)).unbind(-2)
        lines = []
        for down in stripes(x.shape[1], self.window):
            tiles = [self._windows(q, k, v, down, right) for right in stripes(x.shape[2], self.window)]
            lines.append(torch.cat(tiles, dim=2))
        mixed: torch.Tensor = self.proj(torch.cat(lines, dim=1).flatten(3))
        return mixed

    def _projected(self, x: torch.Tensor) -> torch.Tensor:
        """[..., C] -> query, key and value [..., heads, 3, d]; they alternate head by head."""
        projected: torch.Tensor = self.qkv(x)
        by_head: torch.Tensor = projected.unflatten(-1, (self.heads, 3, -1))
        return by_head

    def biases(self, high: int, wide: int) -> torch.Tensor:
        """What is added to the scores of a window of high x wide real cells, see :func:`distance_scores`."""
        table: torch.Tensor = self.attention_biases.unflatten(1, (self.window, self.window))
        return distance_scores(table, high, wide)

    def _windows(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, down: Stripe, right: Stripe
    ) -> torch.Tensor:
        """Windows with as many real cells each: [B, h, w, heads, d] -> their cells [B, rows, columns, heads, d]."""
        q, k, v = (cut(x, down, right).flatten(2, 3) for x in (q, k, v))  # [N, heads, cells, d]
        high, wide = down.size, right.size
        if high < self.window or wide < self.window:
            _, key, value = self._projected(self.norm.bias).unbind(-2)
            k = torch.cat([k, key[None, :, None].expand(len(k), -1, -1, -1)], dim=2)
            v = torch.cat([v, value[None, :, None].expand(len(v), -1, -1, -1)], dim=2)
        mixed = functional.scaled_dot_product_attention(
            q, k, v, attn_mask=self.biases(high, wide).to(q.dtype)
        )
        return put_back(mixed.unflatten(2, (high, wide)), down, right)


class Mlp(nn.Module):
    """Norm, and two linear layers with a GELU between them: [..., C] -> the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fc1 = nn.Linear(channels, _EXPANSION * channels)
        self.fc2 = nn.Linear(_EXPANSION * channels, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.fc2(functional.gelu(self.fc1(self.norm(x))))
        return out


class Block(nn.Module):
    """Attention and its input, 3x3 by channel, MLP and its input: [B, C, h, w] -> the same."""

    def __init__(self, channels: int, *, heads: int, window: int) -> None:
        super().__init__()
        self.attn = WindowAttention(channels, heads=heads, window=window)
        self.local_conv = ConvNorm(channels, channels, 3, groups=channels, after="linear")
        self.mlp = Mlp(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = self.local_conv(x)
        out: torch.Tensor = x + self.mlp(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return out


class _Patches(nn.Module):
    """Two convolutions of 3 x 3 and stride 2; where the first stage is at every pixel, of 1 x 1."""

    def __init__(self, channels: int, *, first_cell: int) -> None:
        super().__init__()
        kernel, stride = (3, 2) if first_cell > 1 else (1, 1)
        first = ConvNorm(3, channels // 2, kernel, stride=stride)
        self.seq = nn.Sequential(first, nn.GELU(), ConvNorm(channels // 2, channels, kernel, stride=stride))


class _Stage(nn.Module):
    def __init__(self, blocks: list[nn.Module], downsample: PatchMerging | None) -> None:
        super().__init__()
        self.blocks = nn.Sequential(*blocks)
        if downsample is not None:
            self.downsample = downsample

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.blocks(x)
        if hasattr(self, "downsample"):
            out = self.downsample(out)
        return out


class TinyViT(nn.Module):
    """Image [B, 3, S, S] -> embedding [B, C, e, e], e = S / ``sizes.cell``, for any S that 16 divides.

    Args:
        sizes: of its stages.
        channels: C.
    """

    def __init__(self, sizes: TinyViTSizes, *, channels: int) -> None:
        super().__init__()
        self.sizes = sizes
        widths = sizes.widths
        self.patch_embed = _Patches(widths[0], first_cell=sizes.cell // 4)
        self.layers = nn.ModuleList()
        for i, width in enumerate(widths):
            blocks: list[nn.Module] = [
                Block(width, heads=sizes.heads[i], window=sizes.windows[i]) if i else MBConv(width)
                for _ in range(sizes.depths[i])
            ]
            last = i + 1 == len(widths)
            merging = None if last else PatchMerging(width, widths[i + 1], stride=_STRIDES[i])
            self.layers.append(_Stage(blocks, merging))
        self.neck = nn.Sequential(
            nn.Conv2d(widths[-1], channels, 1, bias=False),
            LayerNorm2d(channels),
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            LayerNorm2d(channels),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.patch_embed.seq(image)
        for stage in self.layers:
            x = stage(x)
        embedding: torch.Tensor = self.neck(x)
        return embedding
