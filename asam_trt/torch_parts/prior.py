"""The latent networks IGN and PGN in PyTorch, from the tensors of the native ones; float32 throughout, as those."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from asam_trt.prior_spec import PriorConfig
from asam_trt.torch_parts.layers import Linear
from asam_trt.torch_parts.neighbours import neighbours
from asam_trt.torch_parts.tensors import TensorReader


class LatentPrior:
    """Mean and standard deviation of one latent. The equations are those of `csrc/encoder/prior.h`.

    Args:
        weights: as `EngineBundle.load_prior` gives them.

    Raises:
        ValueError: sizes that no network has, or a tensor is missing, has another shape, is not finite or is not known;
            the message names it.
    """

    def __init__(
        self, config: PriorConfig, weights: Mapping[str, npt.NDArray[np.float32]], *, device: torch.device
    ) -> None:
        _check(config)
        self.config = config
        reader, c = TensorReader(weights, device), config.channels
        if config.heads:
            self._null_token = reader.take("null_token", c)
            # The cells' positions are in the queries' biases.
            self._q = reader.take("q.weight", c, c), reader.take("q.bias", config.grid**2, c)
            self._k, self._v, self._out = (reader.linear(name, c, c) for name in ("k", "v", "out"))
        inputs = 2 * c if config.heads else c
        self._blocks: list[list[Linear]] = []
        for i, width in enumerate(config.widths):
            convs = []
            for j in range(config.convs):
                convs.append(reader.linear(f"blocks.{i}.{j}", 9 * inputs, width))
                inputs = width
            self._blocks.append(convs)
        self._output = reader.linear("output", inputs, 2 * config.latent)
        reader.expect_all_taken()

    def __call__(
        self,
        embedding: torch.Tensor,
        tokens: torch.Tensor | None = None,
        dense: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and sigma, float32 [L].

        Args:
            embedding: float32 [C, e, e].
            tokens: float32 [t, C], t >= 0, for the network that sees the prompt, with
            dense: float32 [C], or [C, e, e] with a mask prompt.
        """
        x = embedding.permute(1, 2, 0)
        if tokens is not None and dense is not None:
            x = torch.cat([x, self._prompt(x, tokens, dense)], dim=2)
        for i, convs in enumerate(self._blocks):
            if i and not self.config.strided:
                # Of what there is at an odd edge.
                x = functional.avg_pool2d(x.permute(2, 0, 1), 2, ceil_mode=True).permute(1, 2, 0)
            for j, (weight, bias) in enumerate(convs):
                halves = self.config.strided and i > 0 and j == 0
                x = torch.relu(neighbours(x, 2 if halves else 1) @ weight + bias)
        weight, bias = self._output
        mean, log_sigma = (x.mean(dim=(0, 1)) @ weight + bias).chunk(2)
        if self.config.log_sigma_range is not None:
            log_sigma = log_sigma.clamp(*self.config.log_sigma_range)
        return mean, log_sigma.exp()

    def _prompt(self, cells: torch.Tensor, tokens: torch.Tensor, dense: torch.Tensor) -> torch.Tensor:
        """What the prompt says about each cell: [e, e, C] -> [e, e, C]."""
        said = torch.cat([self._null_token[None], tokens])
        rows = (cells.flatten(0, 1), said, said)
        q, k, v = (
            (x @ weight + bias).unflatten(1, (self.config.heads, -1)).transpose(0, 1)[None]
            for x, (weight, bias) in zip(rows, (self._q, self._k, self._v), strict=True)
        )
        mixed = functional.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).flatten(1)
        weight, bias = self._out
        answer = (mixed @ weight + bias).view_as(cells)
        return answer + (dense if dense.ndim == 1 else dense.permute(1, 2, 0))


def _check(config: PriorConfig) -> None:
    for name in ("grid", "channels", "latent", "convs"):
        if getattr(config, name) < 1:
            raise ValueError(f"config[{name!r}]: expected at least 1, got {getattr(config, name)}")
    if config.heads and config.channels % config.heads:
        raise ValueError(
            f"config['heads']: expected a divisor of channels {config.channels}, got {config.heads}"
        )
    if not config.widths or min(config.widths) < 1:
        raise ValueError(f"config['widths']: expected channels of each block, got {list(config.widths)}")
    if config.log_sigma_range is not None and not config.log_sigma_range[0] < config.log_sigma_range[1]:
        raise ValueError(
            f"config['log_sigma_range']: expected low < high, got {list(config.log_sigma_range)}"
        )
