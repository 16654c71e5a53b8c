"""Attention of the image encoders on the grid itself, for fused kernels.

Window by window, a key is a real cell, and what is left of all padded cells is one key more: their keys are all alike,
and so are their values. The scores of query i are

    q_i . k_j / sqrt(d) + m_ij            of a real cell j,
    q_i . k_padded / sqrt(d) + m_i        of the padded ones,

with a mask m that `scaled_dot_product_attention` adds, a `RelativeMask` or a `DistanceMask`. See docs/architecture.md.
Which of its kernels runs is PyTorch's choice: to ask for one is a setting of the whole process.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

from asam_trt.torch_parts.layers import normed, product
from asam_trt.torch_parts.tensors import TensorReader
from asam_trt.torch_parts.windows import Stripe, cut, put_back, stripes

Mask = Callable[[torch.Tensor], torch.Tensor]
"""Queries [N, H, h, w, d] of windows with h x w real cells -> [N or 1, H, h * w, keys], in their type."""


class Attention:
    """Cells float32 [e * e, D] and what attention makes of their norm, added in place.

    Args:
        reader: of the encoder's weights.
        name: of the block.
        mask: what is added to scores.
        padded: key and value of a padded cell, [2, H, d].
        grid: e.
        window: cells a side of a window.
        eps: of the norm.
    """

    def __init__(
        self,
        reader: TensorReader,
        name: str,
        mask: Mask,
        padded: torch.Tensor,
        *,
        grid: int,
        window: int,
        eps: float,
    ) -> None:
        _, heads, dim = padded.shape
        width, dtype = heads * dim, padded.dtype
        self._mask, self._padded = mask, padded[:, None, :, None]  # [2, 1, H, 1, d]
        self._shape = (grid, grid, 3, heads, dim)
        self._window, self._stripes = window, stripes(grid, window)
        self._eps = eps
        self._norm = reader.norm(f"{name}.norm1", width)
        self._qkv = reader.linear(f"{name}.qkv", width, 3 * width, dtype=dtype)
        self._out = reader.linear(f"{name}.out", width, width, dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        qkv = product(normed(x, self._norm, self._eps), self._qkv)
        q, k, v = qkv.view(self._shape)[None].unbind(3)
        lines = []
        for down in self._stripes:
            tiles = [self._windows(q, k, v, down, right) for right in self._stripes]
            lines.append(torch.cat(tiles, dim=2))
        x += product(torch.cat(lines, dim=1).flatten(3).flatten(0, 2), self._out)
        return x

    def _windows(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, down: Stripe, right: Stripe
    ) -> torch.Tensor:
        """Windows with as many real cells each: [1, e, e, H, d] -> their cells [1, rows, columns, H, d]."""
        q, k, v = (cut(x, down, right) for x in (q, k, v))  # [N, H, h, w, d]
        mask = self._mask(q)
        query, key, value = (x.flatten(2, 3) for x in (q, k, v))
        if down.size < self._window or right.size < self._window:
            more_key, more_value = self._padded.expand(-1, len(key), -1, -1, -1)
            key, value = torch.cat([key, more_key], dim=2), torch.cat([value, more_value], dim=2)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return put_back(mixed.unflatten(2, (down.size, right.size)), down, right)
