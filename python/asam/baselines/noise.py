"""Noise that belongs to a row: the same whatever other rows a batch or a process holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from asam_trt import _ops


def row_noise(
    seeds: torch.Tensor | Sequence[int], *, n: int, size: int, device: torch.device, start: int = 0
) -> torch.Tensor:
    """Standard normal numbers, float32 [B, n, 2, size], by :func:`asam_trt.philox.normal`.

    Args:
        seeds: one a row, 0 <= seed < 2**64.
        n: draws a row; draw i of a seed is the same for every n.
        size: numbers of each of the two independent streams.
        device: where they are wanted; they are drawn on the CPU, so that every device gets the same.
        start: number of the first draw.
    """
    keys = seeds.tolist() if isinstance(seeds, torch.Tensor) else seeds
    padded = -size % 4 + size
    rows = np.stack([_ops.philox_normal(int(key), n, padded, start) for key in keys])
    return torch.from_numpy(rows)[..., :size].to(device)
