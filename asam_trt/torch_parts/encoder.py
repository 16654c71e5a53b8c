"""SAM's image encoder, in PyTorch, from the tensors of the native one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from asam_trt.encoder_spec import EncoderConfig
from asam_trt.torch_parts.attention import RelativeAttention
from asam_trt.torch_parts.neighbours import neighbours
from asam_trt.torch_parts.tensors import TensorReader

_NORM_EPS = 1e-6  # of every norm in SAM's image encoder
_PATCH = 16  # pixels a side


class Encoder:
    """Image float32 [3, S, S] -> embedding float32 [C, e, e]. No padded cell is computed.

    Factors of products are rounded to ``dtype``, and so are the products of the blocks; residuals, norms and the sums
    of the softmax are float32. The neck is float32 throughout, as in the native encoder.

    Args:
        weights: as `EngineBundle.load_encoder` gives them.
        dtype: float32, bfloat16 or float16.

    Raises:
        ValueError: a tensor is missing, has another shape, is not finite, or is not known; the message names it.
    """

    def __init__(
        self,
        config: EncoderConfig,
        weights: Mapping[str, npt.NDArray[np.float32]],
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.config, self._dtype = config, dtype
        grid, width, channels = config.grid, config.width, config.channels
        reader = TensorReader(weights, device)
        self._patch = reader.linear("patch", 3 * _PATCH**2, width, dtype=dtype)
        self._position = reader.take("position", grid * grid, width)
        self._blocks = [
            _Block(reader, f"blocks.{i}", config, window or grid, dtype)
            for i, window in enumerate(config.windows)
        ]
        self._neck0 = reader.take("neck.0.weight", width, channels)
        self._norm0 = reader.norm("neck.1", channels)
        self._neck1 = reader.take("neck.2.weight", 9 * channels, channels)
        self._norm1 = reader.norm("neck.3", channels)
        reader.expect_all_taken()

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        grid = self.config.grid
        patches = image.unflatten(2, (grid, _PATCH)).unflatten(1, (grid, _PATCH)).permute(1, 3, 0, 2, 4)
        x = self._position + _product(patches.flatten(2).flatten(0, 1).to(self._dtype), self._patch)
        for block in self._blocks:
            x = block(x)
        x = _norm(x @ self._neck0, self._norm0)
        x = neighbours(x.unflatten(0, (grid, grid))) @ self._neck1
        return _norm(x, self._norm1).permute(2, 0, 1).contiguous()


class _Block:
    """Cells float32 [P, D] -> the same, in place."""

    def __init__(
        self, reader: TensorReader, name: str, config: EncoderConfig, window: int, dtype: torch.dtype
    ) -> None:
        width, dim = config.width, config.width // config.heads
        self._dtype, self._shape = dtype, (config.grid, config.grid, 3, config.heads, dim)
        self._norm1, self._norm2 = (reader.norm(f"{name}.{each}", width) for each in ("norm1", "norm2"))
        self._qkv = reader.linear(f"{name}.qkv", width, 3 * width, dtype=dtype)
        self._attention = RelativeAttention(
            reader, name, grid=config.grid, window=window, heads=config.heads, dim=dim, dtype=dtype
        )
        self._out = reader.linear(f"{name}.out", width, width, dtype=dtype)
        self._mlp0 = reader.linear(f"{name}.mlp.0", width, config.mlp_dim, dtype=dtype)
        self._mlp1 = reader.linear(f"{name}.mlp.1", config.mlp_dim, width, dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        qkv = _product(_norm(x, self._norm1).to(self._dtype), self._qkv)
        x += _product(self._attention(qkv.view(self._shape)), self._out)
        hidden = functional.gelu(_product(_norm(x, self._norm2).to(self._dtype), self._mlp0))
        x += _product(hidden, self._mlp1)
        return x


def _product(x: torch.Tensor, linear: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    weight, bias = linear
    return torch.addmm(bias, x, weight)


def _norm(x: torch.Tensor, norm: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return functional.layer_norm(x, x.shape[-1:], *norm, eps=_NORM_EPS)
