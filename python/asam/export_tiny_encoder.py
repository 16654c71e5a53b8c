"""A TinyViT image encoder as the tensors of the native one, `image_encoder.safetensors`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from asam.model.tiny_vit import NORM_EPS, Block, MBConv, PatchMerging, TinyViT, WindowAttention
from asam_trt.encoder_spec import TinyEncoderConfig

Tensors = dict[str, torch.Tensor]


def tiny_encoder_config(encoder: TinyViT, *, side: int) -> TinyEncoderConfig:
    """Sizes of an encoder for images of ``side`` pixels."""
    sizes = encoder.sizes
    return TinyEncoderConfig(
        side=side,
        channels=len(encoder.neck[3].get_parameter("bias")),
        widths=sizes.widths,
        depths=sizes.depths,
        heads=sizes.heads,
        windows=sizes.windows,
        cell=sizes.cell,
    )


@torch.no_grad()
def tiny_encoder_tensors(encoder: TinyViT) -> dict[str, NDArray[np.float32]]:
    """Name to float32 array. Linear weights are ``[in, out]``, to be used as ``x @ W + b``; convolutions too.

    Batch norms are folded into the convolutions before them, in float64. The input of ``patch.0`` is ordered colour,
    row, column of the pixel; that of ``patch.1`` and ``neck.2`` row, column of the neighbour, channel.
    """
    weight, bias = _folded(encoder.patch_embed.seq[0])
    found: Tensors = {"patch.0.weight": weight.flatten(1).T, "patch.0.bias": bias}
    weight, bias = _folded(encoder.patch_embed.seq[2])
    found |= {"patch.1.weight": _by_neighbour(weight), "patch.1.bias": bias}
    for name, module in encoder.layers.named_modules():  # <stage>.blocks.<block>, <stage>.downsample
        stage = name.partition(".")[0]
        if isinstance(module, MBConv):
            found |= _under(f"stages.{name}", _bottleneck(module))
        elif isinstance(module, Block):
            found |= _under(f"stages.{name}", _block(module))
        elif isinstance(module, PatchMerging):
            found |= _under(f"stages.{int(stage) + 1}.merge", _bottleneck(module))
    narrow, mix = (encoder.neck[i].get_parameter("weight") for i in (0, 2))
    found |= {"neck.0.weight": narrow.flatten(1).T, "neck.2.weight": _by_neighbour(mix)}
    found |= _under("neck.1", _affine(encoder.neck[1])) | _under("neck.3", _affine(encoder.neck[3]))
    return {k: np.ascontiguousarray(v.detach().cpu().numpy(), dtype=np.float32) for k, v in found.items()}


def _folded(layer: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Kernel [out, in / groups, h, w] and bias [out] of a :class:`ConvNorm`, float64."""
    conv, norm = layer.get_submodule("c"), layer.get_submodule("bn")
    weight, scale, shift, mean, variance = (
        value.double()
        for value in (
            conv.get_parameter("weight"),
            norm.get_parameter("weight"),
            norm.get_parameter("bias"),
            norm.get_buffer("running_mean"),
            norm.get_buffer("running_var"),
        )
    )
    factor = scale / (variance + NORM_EPS).sqrt()
    return weight * factor[:, None, None, None], shift - mean * factor


def _by_neighbour(kernel: torch.Tensor) -> torch.Tensor:
    return kernel.permute(2, 3, 1, 0).flatten(0, 2)


def _bottleneck(block: MBConv | PatchMerging) -> Tensors:
    found: Tensors = {}
    for name, layer in (("expand", block.conv1), ("project", block.conv3)):
        weight, bias = _folded(layer)
        found |= {f"{name}.weight": weight.flatten(1).T, f"{name}.bias": bias}
    return found | _under("depthwise", _depthwise(block.conv2))


def _block(block: Block) -> Tensors:
    layers: Tensors = {}
    for name, layer in (("out", block.attn.proj), ("mlp.0", block.mlp.fc1), ("mlp.1", block.mlp.fc2)):
        layers |= {f"{name}.weight": layer.weight.T, f"{name}.bias": layer.bias}
    return {
        **layers,
        **_attention(block.attn),
        **_under("norm1", _affine(block.attn.norm)),
        **_under("norm2", _affine(block.mlp.norm)),
        **_under("depthwise", _depthwise(block.local_conv)),
    }


def _attention(attention: WindowAttention) -> Tensors:
    """``qkv`` with the queries of all heads, then their keys, then their values; ``padded`` [2, heads, d]."""
    qkv, heads = attention.qkv, attention.heads
    weight = qkv.weight.unflatten(0, (heads, 3, -1)).transpose(0, 1).flatten(0, 2)
    bias = qkv.bias.unflatten(0, (heads, 3, -1)).transpose(0, 1)
    of_zeros = qkv.weight.double() @ attention.norm.bias.double() + qkv.bias.double()
    return {
        "qkv.weight": weight.T,
        "qkv.bias": bias.flatten(),
        "padded": of_zeros.unflatten(0, (heads, 3, -1))[:, 1:].transpose(0, 1),
        "biases": attention.attention_biases,
    }


def _depthwise(layer: nn.Module) -> Tensors:
    weight, bias = _folded(layer)
    return {"weight": weight.flatten(1).T, "bias": bias}


def _affine(norm: nn.Module) -> Tensors:
    return {"weight": norm.get_parameter("weight"), "bias": norm.get_parameter("bias")}


def _under(name: str, tensors: Tensors) -> Tensors:
    return {f"{name}.{key}": value for key, value in tensors.items()}
