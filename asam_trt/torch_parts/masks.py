"""What `scaled_dot_product_attention` adds to scores, laid out for its kernels."""

from __future__ import annotations

import torch

_ALIGNED = 8  # elements between the rows of a mask that the memory-efficient kernel takes as it is


def empty_mask(*shape: int, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A mask [windows, heads, queries, keys] to be filled."""
    *rows, keys = shape
    room = -(-keys // _ALIGNED) * _ALIGNED
    return torch.empty(*rows, room, dtype=dtype, device=device)[..., :keys]
