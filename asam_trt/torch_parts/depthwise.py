"""3 x 3 convolutions by channel.

Maps lie channel by channel: for these PyTorch has a kernel of its own, for others it may take cuDNN's with TF32.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from asam_trt.torch_parts.tensors import TensorReader


class Depthwise:
    """Cells [g * g, C] -> float32 [ceil(g / stride)^2, C], zeros beyond the map; float32 within.

    Args:
        reader: of the encoder's weights.
        name: of the convolution.
        grid: g.
        channels: C.
    """

    def __init__(self, reader: TensorReader, name: str, *, grid: int, channels: int, stride: int = 1) -> None:
        self._grid, self._channels, self._stride = grid, channels, stride
        kernel = reader.take(f"{name}.weight", 9, channels)
        self._kernel = kernel.T.reshape(channels, 1, 3, 3).contiguous()
        self._bias = reader.take(f"{name}.bias", channels)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        by_channel = self._bias.new_empty(1, self._channels, self._grid, self._grid)
        by_channel.flatten(2).copy_(x.T)
        found = functional.conv2d(
            by_channel,
            self._kernel,
            self._bias,
            self._stride,
            padding=1,
            groups=self._channels,
        )
        return found[0].flatten(1).T
