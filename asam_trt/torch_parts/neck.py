"""What both kinds of SAM's image encoders end with."""

from __future__ import annotations

import torch

from asam_trt.torch_parts.layers import normed
from asam_trt.torch_parts.neighbours import neighbours
from asam_trt.torch_parts.tensors import TensorReader

_NORM_EPS = 1e-6


class Neck:
    """Cells float32 [e * e, D] -> embedding float32 [C, e, e], by way of C channels and their neighbours.

    Args:
        reader: of the encoder's weights.
        grid: e.
        width: D.
        channels: C.
    """

    def __init__(self, reader: TensorReader, *, grid: int, width: int, channels: int) -> None:
        self._grid = grid
        self._narrow = reader.take("neck.0.weight", width, channels)
        self._norm0 = reader.norm("neck.1", channels)
        self._mix = reader.take("neck.2.weight", 9 * channels, channels)
        self._norm1 = reader.norm("neck.3", channels)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = normed(x @ self._narrow, self._norm0, _NORM_EPS)
        x = neighbours(x.unflatten(0, (self._grid, self._grid))) @ self._mix
        return normed(x, self._norm1, _NORM_EPS).permute(2, 0, 1).contiguous()
