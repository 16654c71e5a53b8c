"""Fold the weights of a mask decoder, its prompt encoder and the two combiners into sampler tensors.

Input names are segment_anything's own, under the prefixes ``prompt_encoder.`` and ``mask_decoder.``; the
combiners are stacks of 1x1 convolutions ``combiner_{image,prompt}.layers.{i}`` over ``concat(feature,
latent)``, and not looked for where the configuration has none; ``ensemble`` holds the weights w of mask tokens
1..K, whose masks are summed unless they are separate. SAM's token 0, its single mask, takes part in the attention but
has no output of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from asam_trt.sampler_spec import SamplerConfig

Array = NDArray[Any]


def dense_position(gaussian: Array, grid: int) -> Array:
    """Positional encoding of every grid cell, row by row (SAM's ``get_dense_pe``).

    Args:
        gaussian: ``[2, C/2]`` spatial frequencies of x and y.
        grid: cells along one side, e.

    Returns:
        float64 ``[e*e, C]``: sines, then cosines, of ``2 pi (2 xy - 1) @ gaussian`` at the cell centres.
    """
    centre = (np.arange(grid, dtype=np.float64) + 0.5) / grid
    y, x = np.meshgrid(centre, centre, indexing="ij")
    xy = np.stack([x.ravel(), y.ravel()], axis=-1)
    phase = 2.0 * np.pi * ((2.0 * xy - 1.0) @ gaussian.astype(np.float64))
    return np.concatenate([np.sin(phase), np.cos(phase)], axis=-1)


def fold(
    state: Mapping[str, Array], config: Mapping[str, Any] | SamplerConfig, *, dtype: DTypeLike = np.float32
) -> dict[str, Array]:
    """Sampler tensors of a trained model.

    Args:
        state: parameter name to array, any float dtype; names as in the module's description.
        config: sizes; see `SamplerConfig`.
        dtype: of the result. All arithmetic is float64 whatever it is.

    Returns:
        Tensor name to contiguous array. Linear weights are ``[in, out]``, to be used as ``x @ W + b``.

    Raises:
        ValueError: a tensor is missing, has another shape, or holds NaN or Inf; the message names it.
    """
    folding = _Folding(state, SamplerConfig.of(config))
    if folding.config.combiner_layers:
        folding.combiner("combiner_image")
        folding.combiner("combiner_prompt")
    folding.transformer()
    folding.upscaling()
    folding.ensemble()
    folding.prompt_tables()
    return {name: np.ascontiguousarray(value, dtype=dtype) for name, value in folding.out.items()}


class _Folding:
    """Reads checked tensors from a state dict and collects folded ones in ``out``."""

    def __init__(self, state: Mapping[str, Array], config: SamplerConfig) -> None:
        self.state = state
        self.config = config
        self.out: dict[str, Array] = {}

    def read(self, name: str, *shape: int) -> Array:
        """One float64 tensor; -1 in ``shape`` accepts any size."""
        if name not in self.state:
            raise ValueError(f"state dict: expected '{name}' of shape {shape}, found no such tensor")
        value = np.asarray(self.state[name])
        found = value.shape
        if len(found) != len(shape) or any(w not in (-1, f) for w, f in zip(shape, found, strict=True)):
            raise ValueError(f"state dict: expected '{name}' of shape {shape}, found {found}")
        if value.dtype.kind != "f":
            raise ValueError(f"state dict: expected '{name}' of a float dtype, found {value.dtype}")
        value = value.astype(np.float64)
        if not np.isfinite(value).all():
            raise ValueError(f"state dict: expected finite values in '{name}', found NaN or Inf")
        return value

    def linear(self, name: str, source: str, inputs: int, outputs: int) -> tuple[Array, Array]:
        """Store an ``nn.Linear`` as ``[in, out]`` under ``name``; -1 accepts any size."""
        weight = self.read(f"{source}.weight", outputs, inputs).T
        bias = self.read(f"{source}.bias", weight.shape[1])
        self.out[f"{name}.weight"], self.out[f"{name}.bias"] = weight, bias
        return weight, bias

    def norm(self, name: str, source: str, size: int) -> None:
        for part in ("weight", "bias"):
            self.out[f"{name}.{part}"] = self.read(f"{source}.{part}", size)

    def combiner(self, name: str) -> None:
        """Split the first layer into a feature half and a latent half (identity 2)."""
        c, latent = self.config.channels, self.config.latent
        last = self.config.combiner_layers - 1
        first = self.read(f"{name}.layers.0.weight", c, c + latent, 1, 1)[:, :, 0, 0].T
        self.out[f"{name}.feature"], self.out[f"{name}.latent"] = first[:c], first[c:]
        self.out[f"{name}.bias0"] = self.read(f"{name}.layers.0.bias", c)
        for i in range(1, last + 1):
            weight = self.read(f"{name}.layers.{i}.weight", c, c, 1, 1)
            self.out[f"{name}.layers.{i}.weight"] = weight[:, :, 0, 0].T
            self.out[f"{name}.layers.{i}.bias"] = self.read(f"{name}.layers.{i}.bias", c)

    def attention(self, name: str, source: str, inner: int) -> None:
        c = self.config.channels
        for part in ("q", "k", "v"):
            self.linear(f"{name}.{part}", f"{source}.{part}_proj", c, inner)
        self.linear(f"{name}.out", f"{source}.out_proj", inner, c)

    def transformer(self) -> None:
        config = self.config
        c, half = config.channels, config.channels // 2
        pe = dense_position(
            self.read("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", 2, half), config.grid
        )
        self.out["pe"] = pe
        self.out["output_tokens"] = np.concatenate(
            [
                self.read("mask_decoder.iou_token.weight", 1, c),
                self.read("mask_decoder.mask_tokens.weight", config.mask_tokens + 1, c),
            ]
        )
        source = "mask_decoder.transformer"
        for i in range(config.depth):
            block, name = f"{source}.layers.{i}", f"layers.{i}"
            self.attention(f"{name}.self_attn", f"{block}.self_attn", c)
            self.attention(f"{name}.token_to_image", f"{block}.cross_attn_token_to_image", half)
            self.attention(f"{name}.image_to_token", f"{block}.cross_attn_image_to_token", half)
            for n in range(1, 5):
                self.norm(f"{name}.norm{n}", f"{block}.norm{n}", c)
            self.linear(f"{name}.mlp.0", f"{block}.mlp.lin1", c, config.mlp_dim)
            self.linear(f"{name}.mlp.1", f"{block}.mlp.lin2", config.mlp_dim, c)
            self.position(f"{name}.token_to_image.k", pe)
            self.position(f"{name}.image_to_token.q", pe)
        self.attention("final", f"{source}.final_attn_token_to_image", half)
        self.norm("final.norm", f"{source}.norm_final_attn", c)
        self.position("final.k", pe)

    def position(self, name: str, pe: Array) -> None:
        """(src + pe) W + b = src W + (pe W + b): the bracket is a constant of the engine (identity 5)."""
        self.out[f"{name}.pe"] = pe @ self.out[f"{name}.weight"] + self.out[f"{name}.bias"]

    def upscaling(self) -> None:
        """Transposed 2x2 convolutions of stride 2 as products with columns (dy, dx, channel) (identity 6)."""
        c = self.config.channels
        source = "mask_decoder.output_upscaling"
        for index, layer, (inputs, outputs) in ((0, 0, (c, c // 4)), (1, 3, (c // 4, c // 8))):
            kernel = self.read(f"{source}.{layer}.weight", inputs, outputs, 2, 2)
            self.out[f"upscale.{index}.weight"] = kernel.transpose(0, 2, 3, 1).reshape(inputs, 4 * outputs)
            self.out[f"upscale.{index}.bias"] = self.read(f"{source}.{layer}.bias", outputs)
        self.norm("upscale.norm", f"{source}.1", c // 4)

    def ensemble(self) -> None:
        """The weights w move into the last layers of hyper-networks and quality head (identity 1).

        Separate masks keep those layers as they are, without the outputs of token 0.
        """
        config = self.config
        c, count = config.channels, config.mask_tokens
        w = np.ones(count) if config.separate_masks else self.read("ensemble", count)
        mix = np.eye(count) if config.separate_masks else w[:, None]
        for k in range(config.mask_tokens):
            source = f"mask_decoder.output_hypernetworks_mlps.{k + 1}.layers"
            self.linear(f"hyper.{k}.0", f"{source}.0", c, c)
            self.linear(f"hyper.{k}.1", f"{source}.1", c, c)
            weight, bias = self.linear(f"hyper.{k}.2", f"{source}.2", c, c // 8)
            self.out[f"hyper.{k}.2.weight"], self.out[f"hyper.{k}.2.bias"] = w[k] * weight, w[k] * bias
        width = c
        for i in range(config.iou_layers):
            last = i == config.iou_layers - 1
            source = f"mask_decoder.iou_prediction_head.layers.{i}"
            weight, bias = self.linear(f"iou.{i}", source, width, config.mask_tokens + 1 if last else -1)
            width = weight.shape[1]
            if last:
                self.out[f"iou.{i}.weight"], self.out[f"iou.{i}.bias"] = weight[:, 1:] @ mix, bias[1:] @ mix

    def prompt_tables(self) -> None:
        c = self.config.channels
        source = "prompt_encoder"
        gaussian = f"{source}.pe_layer.positional_encoding_gaussian_matrix"
        self.out["prompt.gaussian"] = self.read(gaussian, 2, c // 2)
        self.out["prompt.point_embeddings"] = np.concatenate(
            [self.read(f"{source}.point_embeddings.{i}.weight", 1, c) for i in range(4)]
        )
        self.out["prompt.not_a_point"] = self.read(f"{source}.not_a_point_embed.weight", 1, c)[0]
        self.out["prompt.no_mask"] = self.read(f"{source}.no_mask_embed.weight", 1, c)[0]
        few = self.read(f"{source}.mask_downscaling.0.weight", -1, 1, 2, 2).shape[0]
        many = self.read(f"{source}.mask_downscaling.3.weight", -1, few, 2, 2).shape[0]
        shapes = {
            "0.weight": (few, 1, 2, 2),
            "0.bias": (few,),
            "1.weight": (few,),
            "1.bias": (few,),
            "3.weight": (many, few, 2, 2),
            "3.bias": (many,),
            "4.weight": (many,),
            "4.bias": (many,),
            "6.weight": (c, many, 1, 1),
            "6.bias": (c,),
        }
        for part, shape in shapes.items():
            self.out[f"prompt.mask_downscaling.{part}"] = self.read(
                f"{source}.mask_downscaling.{part}", *shape
            )
