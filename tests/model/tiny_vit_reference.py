"""TinyViT, MobileSAM's and LiteMedSAM's, written to be read: functions over its tensors, windows padded as they are.

TinyViT: Wu et al., ECCV 2022; in SAM: Zhang et al. 2023. Names are those of `mobile_sam.pt` without ``image_encoder.``.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch.nn import functional

from asam.model.config import TinyViTSizes

Tensors = Mapping[str, torch.Tensor]
STRIDES = (2, 2, 1)  # between the stages; TinyViT by itself has 2 at the end too


def encode(state: Tensors, image: torch.Tensor, sizes: TinyViTSizes) -> torch.Tensor:
    """[B, 3, S, S] -> [B, C, e, e]."""
    return neck(state, stages(state, image, sizes))


def stages(state: Tensors, image: torch.Tensor, sizes: TinyViTSizes) -> torch.Tensor:
    """[B, 3, S, S] -> [B, 320, e, e]."""
    stride = 2 if state["patch_embed.seq.0.c.weight"].shape[-1] == 3 else 1  # 1: LiteMedSAM's
    x = conv_norm(state, "patch_embed.seq.0", image, stride=stride)
    x = conv_norm(state, "patch_embed.seq.2", functional.gelu(x), stride=stride)
    for i, depth in enumerate(sizes.depths):
        for j in range(depth):
            where = f"layers.{i}.blocks.{j}"
            if i == 0:
                x = mb_conv(state, where, x)
            else:
                x = block(state, where, x, heads=sizes.heads[i], window=sizes.windows[i])
        if i < len(STRIDES):
            x = merging(state, f"layers.{i}.downsample", x, stride=STRIDES[i])
    return x


def neck(state: Tensors, x: torch.Tensor) -> torch.Tensor:
    x = functional.conv2d(x, state["neck.0.weight"])
    x = norm_of_cells(state, "neck.1", x)
    x = functional.conv2d(x, state["neck.2.weight"], padding=1)
    return norm_of_cells(state, "neck.3", x)


def norm_of_cells(state: Tensors, where: str, x: torch.Tensor) -> torch.Tensor:
    """Over the channels of each cell of [B, C, h, w]."""
    cells = x.permute(0, 2, 3, 1)
    weight, bias = state[f"{where}.weight"], state[f"{where}.bias"]
    return functional.layer_norm(cells, weight.shape, weight, bias, eps=1e-6).permute(0, 3, 1, 2)


def conv_norm(state: Tensors, where: str, x: torch.Tensor, *, stride: int = 1) -> torch.Tensor:
    """A convolution, then batch norm by the statistics of the file."""
    kernel = state[f"{where}.c.weight"]
    groups = x.shape[1] // kernel.shape[1]
    x = functional.conv2d(x, kernel, stride=stride, padding=kernel.shape[-1] // 2, groups=groups)
    mean, variance = state[f"{where}.bn.running_mean"], state[f"{where}.bn.running_var"]
    return functional.batch_norm(
        x, mean, variance, state[f"{where}.bn.weight"], state[f"{where}.bn.bias"], training=False, eps=1e-5
    )


def mb_conv(state: Tensors, where: str, x: torch.Tensor) -> torch.Tensor:
    inner = functional.gelu(conv_norm(state, f"{where}.conv1", x))
    inner = functional.gelu(conv_norm(state, f"{where}.conv2", inner))
    return functional.gelu(x + conv_norm(state, f"{where}.conv3", inner))


def merging(state: Tensors, where: str, x: torch.Tensor, *, stride: int) -> torch.Tensor:
    x = functional.gelu(conv_norm(state, f"{where}.conv1", x))
    x = functional.gelu(conv_norm(state, f"{where}.conv2", x, stride=stride))
    return conv_norm(state, f"{where}.conv3", x)


def block(state: Tensors, where: str, x: torch.Tensor, *, heads: int, window: int) -> torch.Tensor:
    x = x + attention(state, f"{where}.attn", x, heads=heads, window=window)
    x = conv_norm(state, f"{where}.local_conv", x)
    cells = x.permute(0, 2, 3, 1)
    return x + mlp(state, f"{where}.mlp", cells).permute(0, 3, 1, 2)


def mlp(state: Tensors, where: str, cells: torch.Tensor) -> torch.Tensor:
    x = linear(state, f"{where}.fc1", norm(state, f"{where}.norm", cells))
    return linear(state, f"{where}.fc2", functional.gelu(x))


def attention(state: Tensors, where: str, x: torch.Tensor, *, heads: int, window: int) -> torch.Tensor:
    """In windows from the top left corner on; what reaches beyond the grid is padded with zeros, before the norm."""
    high, wide = x.shape[2:]
    x = functional.pad(x, (0, -wide % window, 0, -high % window))
    out = torch.zeros_like(x)
    for top in range(0, x.shape[2], window):
        for left in range(0, x.shape[3], window):
            there = (slice(None), slice(None), slice(top, top + window), slice(left, left + window))
            tokens = x[there].flatten(2).transpose(1, 2)
            mixed = mix(state, where, tokens, heads=heads, window=window)
            out[there] = mixed.transpose(1, 2).unflatten(2, (window, window))
    return out[:, :, :high, :wide]


def mix(state: Tensors, where: str, tokens: torch.Tensor, *, heads: int, window: int) -> torch.Tensor:
    """Attention among the tokens [B, window * window, C] of one window."""
    size = tokens.shape[2] // heads
    projected = linear(state, f"{where}.qkv", norm(state, f"{where}.norm", tokens))
    by_head = projected.unflatten(2, (heads, 3 * size))
    q, k, v = (x.transpose(1, 2) for x in by_head.split(size, dim=3))  # [B, heads, tokens, size]

    cells = torch.arange(window * window)
    rows, columns = cells // window, cells % window
    down, right = (rows[:, None] - rows).abs(), (columns[:, None] - columns).abs()
    place = state[f"{where}.attention_biases"][:, down * window + right]  # [heads, tokens, tokens]

    score = q @ k.transpose(2, 3) * size**-0.5 + place
    mixed = score.softmax(dim=3) @ v
    return linear(state, f"{where}.proj", mixed.transpose(1, 2).flatten(2))


def linear(state: Tensors, where: str, x: torch.Tensor) -> torch.Tensor:
    return x @ state[f"{where}.weight"].T + state[f"{where}.bias"]


def norm(state: Tensors, where: str, x: torch.Tensor) -> torch.Tensor:
    weight, bias = state[f"{where}.weight"], state[f"{where}.bias"]
    return functional.layer_norm(x, weight.shape, weight, bias, eps=1e-5)
