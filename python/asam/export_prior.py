"""The latent networks as the tensors of the native ones, `image_prior.safetensors` and `prompt_prior.safetensors`."""

from __future__ import annotations

from typing import TypeGuard

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from asam.model.latent import GaussianHead, ImageLatentNet, PromptLatentNet
from asam_trt.prior_spec import PriorConfig

Tensors = dict[str, NDArray[np.float32]]


def has_native_prior(network: nn.Module) -> TypeGuard[ImageLatentNet | PromptLatentNet]:
    """Whether the native code has this network: not those of the published code, and none where there is no latent."""
    return isinstance(network, (ImageLatentNet, PromptLatentNet)) and network.stem is None


def prior_config(network: ImageLatentNet | PromptLatentNet, *, grid: int) -> PriorConfig:
    """Sizes of a network on a grid of ``grid`` cells a side."""
    head = network.head
    convs = _convs(head)
    sees_prompt = isinstance(network, PromptLatentNet)
    return PriorConfig(
        grid=grid,
        channels=convs[0][0].in_channels // (2 if sees_prompt else 1),
        latent=head.output.out_channels // 2,
        heads=network.attention.num_heads if isinstance(network, PromptLatentNet) else 0,
        convs=len(convs[0]),
        widths=tuple(block[-1].out_channels for block in convs),
        strided=not any(isinstance(layer, nn.AvgPool2d) for layer in head.modules()),
        log_sigma_range=head.log_sigma_range,
    )


def prior_tensors(network: ImageLatentNet | PromptLatentNet, position: torch.Tensor) -> Tensors:
    """Name to float32 array. Linear weights are ``[in, out]``, to be used as ``x @ W + b``; convolutions too.

    Args:
        position: dense positional encoding, [1, C, e, e]; its part of the queries is a bias of each cell.

    The input of ``blocks.<i>.<j>`` is ordered row, column of the neighbour, channel; that of the first one embedding,
    then prompt.
    """
    head = network.head
    found: dict[str, torch.Tensor] = {
        "output.weight": head.output.weight.flatten(1).T,
        "output.bias": head.output.get_parameter("bias"),
    }
    for i, block in enumerate(_convs(head)):
        for j, conv in enumerate(block):
            found[f"blocks.{i}.{j}.weight"] = conv.weight.permute(2, 3, 1, 0).flatten(0, 2)
            found[f"blocks.{i}.{j}.bias"] = conv.get_parameter("bias")
    if isinstance(network, PromptLatentNet):
        attention = network.attention
        layers = {"k": attention.k_proj, "v": attention.v_proj, "out": attention.out_proj}
        for name, layer in layers.items():
            found |= {f"{name}.weight": layer.weight.T, f"{name}.bias": layer.bias}
        found["q.weight"] = attention.q_proj.weight.T
        found["q.bias"] = attention.q_proj(position[0].flatten(1).T)
        found["null_token"] = network.null_token.flatten()
    return {k: np.ascontiguousarray(v.detach().cpu().numpy(), dtype=np.float32) for k, v in found.items()}


def _convs(head: GaussianHead) -> list[list[nn.Conv2d]]:
    """Of each block."""
    return [[layer for layer in block.modules() if isinstance(layer, nn.Conv2d)] for block in head.blocks]
