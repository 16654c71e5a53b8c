"""Linear layers over the cells of a grid, by the faster of PyTorch's two libraries."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from asam.model.lora import LowRankLinear

_WORTH_IT = 256  # input features; below, the call itself takes longer


def project(layer: nn.Linear, x: torch.Tensor) -> torch.Tensor:
    """``layer(x)`` for x [B, h, w, in] -> [B, h, w, out].

    In training on the CPU the product is asked for as a 1x1 convolution: PyTorch gives linear layers to MKL, which lets
    AVX-512 lie on AMD processors, and convolutions to oneDNN, which does not. 640 cells, 768 to 3072 features, two
    threads of an EPYC: 7.5 against 14.2 ms.
    """
    plain = x.device.type != "cpu" or x.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
    if plain or not layer.training or layer.in_features < _WORTH_IT:
        out: torch.Tensor = layer(x)
        return out
    cells = x.permute(0, 3, 1, 2)
    out = functional.conv2d(cells, layer.weight[:, :, None, None], layer.bias).permute(0, 2, 3, 1)
    return layer.adapted(out, x) if isinstance(layer, LowRankLinear) else out
