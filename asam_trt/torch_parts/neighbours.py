"""Neighbours of cells as rows of a product: what a 3 x 3 convolution multiplies.

A product keeps to `torch.backends.cuda.matmul`, float32 unless the user says otherwise; cuDNN's convolutions take TF32.
"""

from __future__ import annotations

import torch
from torch.nn import functional


def neighbours(x: torch.Tensor, stride: int = 1) -> torch.Tensor:
    """Map [h, w, C] -> [ceil(h / stride), ceil(w / stride), 9 C], zeros beyond the map.

    Ordered row, column of the neighbour, channel.
    """
    padded = functional.pad(x, (0, 0, 1, 1, 1, 1))
    return padded.unfold(0, 3, stride).unfold(1, 3, stride).permute(0, 1, 3, 4, 2).flatten(2)
