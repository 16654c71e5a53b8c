"""SAM's image encoder, in PyTorch, from the tensors of the native one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch

from asam_trt.encoder_spec import EncoderConfig
from asam_trt.torch_parts.attention import Attention
from asam_trt.torch_parts.layers import product
from asam_trt.torch_parts.mlp import Mlp
from asam_trt.torch_parts.neck import Neck
from asam_trt.torch_parts.relative_mask import RelativeMask
from asam_trt.torch_parts.tensors import TensorReader

_NORM_EPS = 1e-6  # of the norms in the blocks
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
        self.config = config
        grid, width = config.grid, config.width
        reader = TensorReader(weights, device)
        self._patch = reader.linear("patch", 3 * _PATCH**2, width, dtype=dtype)
        self._position = reader.take("position", grid * grid, width)
        self._blocks = [
            _Block(reader, f"blocks.{i}", config, window or grid, dtype)
            for i, window in enumerate(config.windows)
        ]
        self._neck = Neck(reader, grid=grid, width=width, channels=config.channels)
        reader.expect_all_taken()

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        grid = self.config.grid
        patches = image.unflatten(2, (grid, _PATCH)).unflatten(1, (grid, _PATCH)).permute(1, 3, 0, 2, 4)
        x = self._position + product(patches.flatten(2).flatten(0, 1), self._patch)
        for block in self._blocks:
            x = block(x)
        return self._neck(x)


class _Block:
    """Cells float32 [P, D] -> the same, in place."""

    def __init__(
        self, reader: TensorReader, name: str, config: EncoderConfig, window: int, dtype: torch.dtype
    ) -> None:
        grid, width, heads = config.grid, config.width, config.heads
        dim = width // heads
        padded = reader.take(f"{name}.qkv.bias", 3 * width, dtype=dtype).view(3, heads, dim)[1:]
        self._attention = Attention(
            reader,
            name,
            RelativeMask(reader, name, grid=grid, window=window, dim=dim, dtype=dtype),
            padded,  # after the norm: what is left of it are the biases
            grid=grid,
            window=window,
            eps=_NORM_EPS,
        )
        self._mlp = Mlp(reader, name, width=width, hidden=config.mlp_dim, eps=_NORM_EPS, dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._mlp(self._attention(x))
