"""TinyViT's convolutions within a stage and between two."""

from __future__ import annotations

import torch
from torch.nn import functional

from asam_trt.torch_parts.depthwise import Depthwise
from asam_trt.torch_parts.layers import product
from asam_trt.torch_parts.tensors import TensorReader


class Bottleneck:
    """Cells float32 [g * g, in] -> project(gelu(depthwise(gelu(expand(x))))), float32 [ceil(g / stride)^2, out].

    Args:
        reader: of the encoder's weights.
        name: of the bottleneck.
        grid: g.
        widths: channels in, within and out.
        dtype: of the products.
        residual: whether it is gelu(x + that).
    """

    def __init__(
        self,
        reader: TensorReader,
        name: str,
        *,
        grid: int,
        widths: tuple[int, int, int],
        dtype: torch.dtype,
        stride: int = 1,
        residual: bool = False,
    ) -> None:
        before, within, after = widths
        self._residual = residual
        self._expand = reader.linear(f"{name}.expand", before, within, dtype=dtype)
        self._depthwise = Depthwise(reader, f"{name}.depthwise", grid=grid, channels=within, stride=stride)
        self._project = reader.linear(f"{name}.project", within, after, dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        mixed = self._depthwise(functional.gelu(product(x, self._expand)))
        found = product(functional.gelu(mixed), self._project)
        return functional.gelu(x + found) if self._residual else found.float()
