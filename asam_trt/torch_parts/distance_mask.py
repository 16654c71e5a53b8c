"""What TinyViT's windows add to scores: numbers learned of the distance between two cells, which no image changes."""

from __future__ import annotations

import torch

from asam_trt.torch_parts.masks import empty_mask
from asam_trt.torch_parts.tensors import TensorReader
from asam_trt.torch_parts.windows import stripes


class DistanceMask:
    """See `asam_trt.torch_parts.attention.Mask`; made once.

    Args:
        reader: of the encoder's weights.
        name: of the block.
        grid: cells a side of the stage.
        window: cells a side of a window.
        heads: H.
        dtype: of the queries.
    """

    def __init__(
        self, reader: TensorReader, name: str, *, grid: int, window: int, heads: int, dtype: torch.dtype
    ) -> None:
        table = reader.take(f"{name}.biases", heads, window * window).unflatten(1, (window, window))
        sizes = [stripe.size for stripe in stripes(grid, window)]
        self._masks = {
            (high, wide): _laid_out(distance_scores(table, high, wide), dtype)
            for high in sizes
            for wide in sizes
        }

    def __call__(self, q: torch.Tensor) -> torch.Tensor:
        _, _, high, wide, _ = q.shape
        return self._masks[high, wide]


def distance_scores(table: torch.Tensor, high: int, wide: int) -> torch.Tensor:
    """What is added to the scores of a window of n x n cells, of which high x wide are real.

        t_ij = table[|y_i - y_j|, |x_i - x_j|] of a real cell j,     log(sum_j e^t_ij) of all padded ones

    Args:
        table: [H, n, n].

    Returns:
        [H, query, key]; the last key is that of the padded cells, where there are any.
    """
    cells = torch.arange(table.shape[1], device=table.device)
    apart = (cells[:, None] - cells).abs()
    full = table[:, apart[:high, None, :, None], apart[None, :wide, None, :]]  # [H, y, x, y', x']
    real = full[..., :high, :wide].flatten(3).flatten(1, 2)
    beside, below = full[..., :high, wide:].flatten(3), full[..., high:, :].flatten(3)
    padded = torch.cat([beside, below], dim=3).flatten(1, 2)
    if not padded.shape[2]:
        return real
    return torch.cat([real, padded.logsumexp(-1, keepdim=True)], dim=2)


def _laid_out(scores: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """[1, H, query, key] in a type."""
    mask = empty_mask(1, *scores.shape, dtype=dtype, device=scores.device)
    return mask.copy_(scores)
