"""Random weights by the names of a file, and a module that has them: for plain networks to be compared with."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

Weights = dict[str, npt.NDArray[np.float32]]


class Draw:
    """Numbers of a seed, in order; products of them keep unit scale."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def normal(self, *shape: int, scale: float = 1.0) -> npt.NDArray[np.float32]:
        return (scale * self._rng.standard_normal(shape)).astype(np.float32)

    def linear(
        self, name: str, width_in: int, width_out: int, gain: float = 1.0
    ) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        yield f"{name}.weight", self.normal(width_in, width_out, scale=gain * width_in**-0.5)
        yield f"{name}.bias", self.normal(width_out, scale=0.1)

    def norm(self, name: str, width: int) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
        yield f"{name}.weight", 1 + self.normal(width, scale=0.1)
        yield f"{name}.bias", self.normal(width, scale=0.1)


class PlainModule(torch.nn.Module):
    """Weights of one type, by their names in the file."""

    def __init__(self, weights: Weights, dtype: torch.dtype, device: str) -> None:
        super().__init__()
        for name, value in weights.items():
            self.register_buffer(name.replace(".", "_"), torch.as_tensor(value).to(device, dtype))

    def weight(self, name: str) -> Tensor:
        found = getattr(self, name.replace(".", "_"))
        assert isinstance(found, Tensor)
        return found

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.weight(f"{name}.weight") + self.weight(f"{name}.bias")

    def norm(self, name: str, x: Tensor, eps: float = 1e-5) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), eps)

    def kernel(self, name: str) -> Tensor:
        """Of a 3 x 3 convolution, [out, in, 3, 3]."""
        return self.weight(f"{name}.weight").unflatten(0, (3, 3, -1)).permute(3, 2, 0, 1).contiguous()
