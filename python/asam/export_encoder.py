"""A SAM image encoder as the tensors of the native one, `image_encoder.safetensors`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from segment_anything.modeling import ImageEncoderViT
from segment_anything.modeling.image_encoder import Block, get_rel_pos
from torch import nn

from asam_trt.encoder_spec import EncoderConfig

Tensors = dict[str, NDArray[np.float32]]


def encoder_config(encoder: ImageEncoderViT) -> EncoderConfig:
    """Sizes of an encoder."""
    first = encoder.blocks[0]
    return EncoderConfig(
        side=encoder.img_size,
        width=first.attn.qkv.in_features,
        heads=first.attn.num_heads,
        mlp_dim=first.mlp.lin1.out_features,
        channels=encoder.neck[0].out_channels,
        windows=tuple(block.window_size for block in encoder.blocks),
    )


def encoder_tensors(encoder: ImageEncoderViT) -> Tensors:
    """Name to float32 array. Linear weights are ``[in, out]``, to be used as ``x @ W + b``; convolutions too.

    The input of ``patch`` is ordered colour, row, column of the pixel; that of ``neck.2`` row, column of the neighbour,
    channel.
    """
    config = encoder_config(encoder)
    patch = encoder.patch_embed.proj
    found: dict[str, torch.Tensor] = {
        "patch.weight": patch.weight.flatten(1).T,
        "patch.bias": patch.bias,
        "position": encoder.pos_embed.reshape(-1, config.width),
        "neck.0.weight": encoder.neck[0].weight.flatten(1).T,
        "neck.2.weight": encoder.neck[2].weight.permute(2, 3, 1, 0).flatten(0, 2),
    }
    for name, norm in (("neck.1", encoder.neck[1]), ("neck.3", encoder.neck[3])):
        found |= {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
    for i, block in enumerate(encoder.blocks):
        found |= {f"blocks.{i}.{k}": v for k, v in _block(block, config.grid).items()}
    return {k: np.ascontiguousarray(v.detach().cpu().numpy(), dtype=np.float32) for k, v in found.items()}


def _block(block: Block, grid: int) -> dict[str, torch.Tensor]:
    window = block.window_size or grid
    attention = block.attn
    found: dict[str, torch.Tensor] = {}
    for name, table in (("relative_h", attention.rel_pos_h), ("relative_w", attention.rel_pos_w)):
        found[name] = _resized(table, window)
    layers = {"qkv": attention.qkv, "out": attention.proj, "mlp.0": block.mlp.lin1, "mlp.1": block.mlp.lin2}
    for name, layer in layers.items():
        found |= {f"{name}.weight": layer.weight.T, f"{name}.bias": layer.bias}
    for name, norm in (("norm1", block.norm1), ("norm2", block.norm2)):
        found |= {f"{name}.weight": norm.weight, f"{name}.bias": norm.bias}
    return found


def _resized(table: nn.Parameter, window: int) -> torch.Tensor:
    """Rows for the distances -(window - 1) .. window - 1, interpolated as SAM does where there are others."""
    by_query = get_rel_pos(window, window, table)  # [query, key]: distance query - key
    return torch.cat([by_query[0].flip(0), by_query[1:, 0]])
