"""Tensors of a weights' file by name, each checked when it is taken."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch


class TensorReader:
    """Hands out tensors on a device, and remembers which.

    Args:
        weights: float32, by name.
        device: they go to.
    """

    def __init__(self, weights: Mapping[str, npt.NDArray[np.float32]], device: torch.device) -> None:
        self._weights, self._device = weights, device
        self._taken: set[str] = set()

    def take(self, name: str, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """A copy of one tensor in ``dtype``.

        Raises:
            ValueError: it is missing, has another shape, or holds NaN or infinity.
        """
        if name not in self._weights:
            raise ValueError(f"weights: expected {name!r} of shape {list(shape)}, found no such tensor")
        value = self._weights[name]
        if value.shape != shape:
            raise ValueError(f"weights: expected {name!r} of shape {list(shape)}, got {list(value.shape)}")
        if not np.isfinite(value).all():
            raise ValueError(f"weights: expected finite values in {name!r}, got NaN or Inf")
        self._taken.add(name)
        return torch.tensor(value, device=self._device, dtype=dtype)

    def linear(
        self, name: str, width_in: int, width_out: int, *, dtype: torch.dtype = torch.float32
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight [in, out] and bias [out] of ``x @ W + b``."""
        weight = self.take(f"{name}.weight", width_in, width_out, dtype=dtype)
        return weight, self.take(f"{name}.bias", width_out, dtype=dtype)

    def norm(self, name: str, width: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Weight and bias [width] of a norm, in float32."""
        return self.take(f"{name}.weight", width), self.take(f"{name}.bias", width)

    def expect_all_taken(self) -> None:
        """Raises ValueError where the file has a tensor that nobody took."""
        for name, value in self._weights.items():
            if name not in self._taken:
                raise ValueError(f"weights: unknown tensor {name!r} of shape {list(value.shape)}")
