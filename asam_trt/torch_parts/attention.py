"""Attention of the image encoder on the grid itself, for fused kernels.

Window by window, key j is the real cell (y_j, x_j), and what is left of all padded cells is one key more: their keys
and values are all the projection's biases b_k and b_v. The scores of query i are

    q_i . k_j / sqrt(d) + h[i, y_j] + w[i, x_j]                                        of a real cell,
    q_i . b_k / sqrt(d) + log(sum_{y real} e^h sum_{x padded} e^w + sum_{y padded} e^h sum_x e^w)    of the padded ones,

    h[i, y] = q_i . table_h[y_i - y + n - 1],   w[i, x] = q_i . table_w[x_i - x + n - 1]

so that all but the products q . k is the mask that `scaled_dot_product_attention` adds. See docs/architecture.md. Which
of its kernels runs is PyTorch's choice: to ask for one is a setting of the whole process.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from asam_trt.torch_parts.tensors import TensorReader
from asam_trt.torch_parts.windows import Stripe, cut, put_back, stripes

_ALIGNED = 8  # elements between the rows of a mask that the memory-efficient kernel takes as it is


class RelativeAttention:
    """Of one block: queries, keys and values [e, e, 3, H, d] -> [e * e, H * d], in their type.

    Args:
        reader: of the block's weights.
        name: of the block.
        grid: e.
        window: cells a side of a window.
        heads: H.
        dim: d.
        dtype: of the queries.
    """

    def __init__(
        self,
        reader: TensorReader,
        name: str,
        *,
        grid: int,
        window: int,
        heads: int,
        dim: int,
        dtype: torch.dtype,
    ) -> None:
        self._window = window
        self._stripes = stripes(grid, window)
        self._table_h, self._table_w = (
            _by_query(reader.take(f"{name}.relative_{axis}", 2 * window - 1, dim, dtype=dtype), grid)
            for axis in ("h", "w")
        )
        biases = reader.take(f"{name}.qkv.bias", 3 * heads * dim, dtype=dtype)
        _, self._padded_key, self._padded_value = biases.view(3, heads, 1, dim)

    def __call__(self, qkv: torch.Tensor) -> torch.Tensor:
        q, k, v = qkv[None].unbind(3)
        lines = []
        for down in self._stripes:
            tiles = [self._windows(q, k, v, down, right) for right in self._stripes]
            lines.append(torch.cat(tiles, dim=2))
        return torch.cat(lines, dim=1).flatten(3).flatten(0, 2)

    def _windows(
        self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, down: Stripe, right: Stripe
    ) -> torch.Tensor:
        """Windows with as many real cells each: [1, e, e, H, d] -> their cells [1, rows, columns, H, d]."""
        q, k, v = (cut(x, down, right) for x in (q, k, v))  # [N, H, h, w, d]
        high, wide = down.size, right.size
        h = torch.einsum("nhyxd,ykd->nhyxk", q, self._table_h[:high])
        w = torch.einsum("nhyxd,xkd->nhyxk", q, self._table_w[:wide])
        query, key, value = (x.flatten(2, 3) for x in (q, k, v))
        padded = high < self._window or wide < self._window
        if padded:
            shape = (len(key), -1, -1, -1)
            key = torch.cat([key, self._padded_key.expand(shape)], dim=2)
            value = torch.cat([value, self._padded_value.expand(shape)], dim=2)
        mask = _empty_mask(query, key.shape[2])
        place = mask[..., : high * wide].unflatten(2, (high, wide)).unflatten(4, (high, wide))
        torch.add(h[..., :high, None], w[..., None, :wide], out=place)
        if padded:
            mask[..., -1] = _padded_share(h.float(), w.float(), high, wide).flatten(2)
        mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return put_back(mixed.unflatten(2, (high, wide)), down, right)


def _by_query(table: torch.Tensor, grid: int) -> torch.Tensor:
    """Rows for the distances -(window - 1) .. window - 1 -> [query, key, d], of queries that there are."""
    window = (len(table) + 1) // 2
    cells = torch.arange(window, device=table.device)
    return table[cells[:grid, None] - cells + window - 1]


def _empty_mask(query: torch.Tensor, keys: int) -> torch.Tensor:
    room = -(-keys // _ALIGNED) * _ALIGNED
    return query.new_empty(*query.shape[:3], room)[..., :keys]


def _padded_share(h: torch.Tensor, w: torch.Tensor, high: int, wide: int) -> torch.Tensor:
    """Logarithm of what padded cells add to a query's sum, without q . b_k: [N, H, high, wide]. h, w: [.., window]."""
    below = h[..., high:].logsumexp(-1) + w.logsumexp(-1)  # of no rows the sum is 0, its logarithm -inf
    beside = h[..., :high].logsumexp(-1) + w[..., wide:].logsumexp(-1)
    return torch.logaddexp(below, beside)
