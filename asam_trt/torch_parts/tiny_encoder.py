"""TinyViT, the image encoder of MobileSAM and LiteMedSAM, in PyTorch, from the tensors of the native one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from asam_trt.encoder_spec import TinyEncoderConfig
from asam_trt.torch_parts.attention import Attention
from asam_trt.torch_parts.bottleneck import Bottleneck
from asam_trt.torch_parts.depthwise import Depthwise
from asam_trt.torch_parts.distance_mask import DistanceMask
from asam_trt.torch_parts.layers import product
from asam_trt.torch_parts.mlp import Mlp
from asam_trt.torch_parts.neck import Neck
from asam_trt.torch_parts.neighbours import neighbours
from asam_trt.torch_parts.tensors import TensorReader

_NORM_EPS = 1e-5  # of the norms in the blocks
_EXPANSION = 4  # of channels inside a block
_STRIDES = (1, 2, 2, 1)  # of what leads to a stage
_COLOURS = 3


class TinyEncoder:
    """Image float32 [3, S, S] -> embedding float32 [C, e, e]. No padded cell is computed.

    As in `asam_trt.torch_parts.encoder.Encoder`, factors of products are rounded to ``dtype``, and so are the products
    but for those of the neck; convolutions by channel, residuals, norms and the sums of the softmax are float32.

    Args:
        weights: as `EngineBundle.load_encoder` gives them.
        dtype: float32, bfloat16 or float16.

    Raises:
        ValueError: a tensor is missing, has another shape, is not finite, or is not known; the message names it.
    """

    def __init__(
        self,
        config: TinyEncoderConfig,
        weights: Mapping[str, npt.NDArray[np.float32]],
        *,
        dtype: torch.dtype,
        device: torch.device,
    ) -> None:
        self.config, self._dtype = config, dtype
        reader = TensorReader(weights, device)
        width, taps = config.widths[0], 9 if config.first_cell > 1 else 1
        first, bias = reader.linear("patch.0", taps * _COLOURS, width // 2, dtype=dtype)
        # The file has it by colour, row and column.
        self._patch0 = first.unflatten(0, (_COLOURS, taps)).transpose(0, 1).flatten(0, 1), bias
        self._patch1 = reader.linear("patch.1", taps * width // 2, width, dtype=dtype)
        self._steps = list(_steps(reader, config, dtype))
        self._neck = Neck(reader, grid=config.grid, width=config.widths[-1], channels=config.channels)
        reader.expect_all_taken()

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        pixels = self._patches(image.permute(1, 2, 0).to(self._dtype))
        x = functional.gelu(product(pixels.flatten(0, 1), self._patch0))
        x = product(self._patches(x.unflatten(0, pixels.shape[:2])).flatten(0, 1), self._patch1).float()
        for step in self._steps:
            x = step(x)
        return self._neck(x)

    def _patches(self, x: torch.Tensor) -> torch.Tensor:
        """Map [h, w, C] -> what a patch sees, [h / 2, w / 2, 9 C]; where a cell is a pixel, that pixel."""
        return neighbours(x, 2) if self.config.first_cell > 1 else x


def _steps(
    reader: TensorReader, config: TinyEncoderConfig, dtype: torch.dtype
) -> Iterator[Callable[[torch.Tensor], torch.Tensor]]:
    """From the cells of the patches to those of the neck."""
    grid = config.side // config.first_cell
    for stage, width in enumerate(config.widths):
        name = f"stages.{stage}"
        if stage:
            widths, stride = (config.widths[stage - 1], width, width), _STRIDES[stage]
            yield Bottleneck(reader, f"{name}.merge", grid=grid, widths=widths, dtype=dtype, stride=stride)
            grid //= stride
        for i in range(config.depths[stage]):
            block = f"{name}.blocks.{i}"
            if stage:
                yield _Block(reader, block, config, stage, grid, dtype)
            else:
                widths = (width, _EXPANSION * width, width)
                yield Bottleneck(reader, block, grid=grid, widths=widths, dtype=dtype, residual=True)


class _Block:
    """Cells float32 [g * g, D] -> the same."""

    def __init__(
        self,
        reader: TensorReader,
        name: str,
        config: TinyEncoderConfig,
        stage: int,
        grid: int,
        dtype: torch.dtype,
    ) -> None:
        width, heads, window = config.widths[stage], config.heads[stage], config.windows[stage]
        self._attention = Attention(
            reader,
            name,
            DistanceMask(reader, name, grid=grid, window=window, heads=heads, dtype=dtype),
            reader.take(f"{name}.padded", 2, heads, width // heads, dtype=dtype),
            grid=grid,
            window=window,
            eps=_NORM_EPS,
        )
        self._local = Depthwise(reader, f"{name}.depthwise", grid=grid, channels=width)
        self._mlp = Mlp(reader, name, width=width, hidden=_EXPANSION * width, eps=_NORM_EPS, dtype=dtype)

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return self._mlp(self._local(self._attention(x)).contiguous())
