"""What SAM's relative positions add to scores.

Of key (y_j, x_j) in a window of n x n cells, and of all padded cells, whose keys are the biases b_k, query i has

    h[i, y_j] + w[i, x_j],       log(sum_{y real} e^h sum_{x padded} e^w + sum_{y padded} e^h sum_x e^w),

    h[i, y] = q_i . table_h[y_i - y + n - 1],   w[i, x] = q_i . table_w[x_i - x + n - 1]
"""

from __future__ import annotations

import torch

from asam_trt.torch_parts.masks import empty_mask
from asam_trt.torch_parts.tensors import TensorReader


class RelativeMask:
    """See `asam_trt.torch_parts.attention.Mask`.

    Args:
        reader: of the encoder's weights.
        name: of the block.
        grid: e.
        window: cells a side of a window.
        dim: d.
        dtype: of the queries.
    """

    def __init__(
        self, reader: TensorReader, name: str, *, grid: int, window: int, dim: int, dtype: torch.dtype
    ) -> None:
        self._window = window
        self._table_h, self._table_w = (
            _by_query(reader.take(f"{name}.relative_{axis}", 2 * window - 1, dim, dtype=dtype), grid)
            for axis in ("h", "w")
        )

    def __call__(self, q: torch.Tensor) -> torch.Tensor:
        windows, heads, high, wide, _ = q.shape
        cells = high * wide
        h = torch.einsum("nhyxd,ykd->nhyxk", q, self._table_h[:high])
        w = torch.einsum("nhyxd,xkd->nhyxk", q, self._table_w[:wide])
        padded = cells < self._window**2
        mask = empty_mask(windows, heads, cells, cells + padded, dtype=q.dtype, device=q.device)
        place = mask[..., :cells].unflatten(2, (high, wide)).unflatten(4, (high, wide))
        torch.add(h[..., :high, None], w[..., None, :wide], out=place)
        if padded:
            mask[..., -1] = _padded_share(h.float(), w.float(), high, wide).flatten(2)
        return mask


def _by_query(table: torch.Tensor, grid: int) -> torch.Tensor:
    """Rows for the distances -(window - 1) .. window - 1 -> [query, key, d], of queries that there are."""
    window = (len(table) + 1) // 2
    cells = torch.arange(window, device=table.device)
    return table[cells[:grid, None] - cells + window - 1]


def _padded_share(h: torch.Tensor, w: torch.Tensor, high: int, wide: int) -> torch.Tensor:
    """Logarithm of what padded cells add to a query's sum, without q . b_k: [N, H, high, wide]. h, w: [.., window]."""
    below = h[..., high:].logsumexp(-1) + w.logsumexp(-1)  # of no rows the sum is 0, its logarithm -inf
    beside = h[..., :high].logsumexp(-1) + w[..., wide:].logsumexp(-1)
    return torch.logaddexp(below, beside)
