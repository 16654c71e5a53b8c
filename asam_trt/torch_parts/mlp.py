"""The second half of a transformer block."""

from __future__ import annotations

import torch
from torch.nn import functional

from asam_trt.torch_parts.layers import normed, product
from asam_trt.torch_parts.tensors import TensorReader


class Mlp:
    """Cells float32 [P, D] and what two layers make of their norm, added in place.

    Args:
        reader: of the encoder's weights.
        name: of the block.
        width: D.
        hidden: width between the layers.
        eps: of the norm.
        dtype: of the products.
    """

    def __init__(
        self, reader: TensorReader, name: str, *, width: int, hidden: int, eps: float, dtype: torch.dtype
    ) -> None:
        self._eps = eps
        self._norm = reader.norm(f"{name}.norm2", width)
        self._first = reader.linear(f"{name}.mlp.0", width, hidden, dtype=dtype)
        self._second = reader.linear(f"{name}.mlp.1", hidden, width, dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        hidden = functional.gelu(product(normed(x, self._norm, self._eps), self._first))
        x += product(hidden, self._second)
        return x
