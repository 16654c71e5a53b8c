"""Products and norms of rows."""

from __future__ import annotations

import torch
from torch.nn import functional

Linear = tuple[torch.Tensor, torch.Tensor]
"""Weight [in, out] and bias [out]."""

Norm = tuple[torch.Tensor, torch.Tensor]
"""Weight and bias [width], float32."""


def product(x: torch.Tensor, linear: Linear) -> torch.Tensor:
    """Rows [P, in] -> [P, out], rounded to the type of the weights before and after."""
    weight, bias = linear
    return torch.addmm(bias, x.to(weight.dtype), weight)


def normed(x: torch.Tensor, norm: Norm, eps: float) -> torch.Tensor:
    """Layer norm of the rows of float32 [..., D]."""
    return functional.layer_norm(x, x.shape[-1:], *norm, eps=eps)
