"""Latent distributions: the Gaussian itself and the networks PGN and IGN that predict it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from segment_anything.modeling.common import LayerNorm2d
from segment_anything.modeling.transformer import Attention
from torch import nn
from torch.nn import functional


class Gaussian(NamedTuple):
    """Diagonal normal distributions: mean and sigma (standard deviation), both [B, L]."""

    mean: torch.Tensor
    sigma: torch.Tensor

    def sample(self, eps: torch.Tensor) -> torch.Tensor:
        """mean + sigma * eps for eps [B, n, L]: reparametrised draws [B, n, L]."""
        return self.mean[:, None] + self.sigma[:, None] * eps


def kl_terms(q: Gaussian, p: Gaussian) -> torch.Tensor:
    """KL(q || p) of each latent dimension in nats, [B, L]; closed form for normals, equations (8) and (12)."""
    ratio = (q.sigma / p.sigma).square()
    shift = ((q.mean - p.mean) / p.sigma).square()
    return 0.5 * (ratio + shift - 1 - ratio.log())


class NoLatent(nn.Module):
    """In place of a latent network where the model has no such latent: mean and sigma are zero."""

    def __init__(self, *, latent: int) -> None:
        super().__init__()
        self.latent = latent

    def forward(self, seen: torch.Tensor, *_: torch.Tensor) -> Gaussian:
        """Anything [B, ...] -> zeros [B, L]."""
        zero = seen.new_zeros(len(seen), self.latent)
        return Gaussian(zero, zero)


class MaskStem(nn.Module):
    """A mask [B, 1, S, S] -> features [B, channels, e, e], for the posteriors, which see the rater's mask."""

    def __init__(self, *, channels: int, cell: int) -> None:
        super().__init__()
        self.channels = channels
        self.cell = cell
        self.layers = nn.Sequential(
            nn.Conv2d(1, channels // 4, kernel_size=2, stride=2),
            LayerNorm2d(channels // 4),
            nn.GELU(),
            nn.Conv2d(channels // 4, channels, kernel_size=2, stride=2),
            LayerNorm2d(channels),
            nn.GELU(),
        )

    def forward(self, mask: torch.Tensor) -> torch.Tensor:
        """Average-pool to the mask resolution 4e, then two strided convolutions to e."""
        features: torch.Tensor = self.layers(functional.avg_pool2d(mask, kernel_size=self.cell // 4))
        return features


class _Halving(nn.Conv2d):
    """A 3x3 convolution of stride 2.

    On a map of one cell the stride changes nothing, and is left out: PyTorch 2.14's bf16 gradient of strided kernels is
    uninitialised memory there, on the CPU.
    """

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """[B, inputs, e, e] -> [B, width, e', e']."""
        stride = (1, 1) if input.shape[-2:] == (1, 1) else (2, 2)
        return functional.conv2d(input, self.weight, self.bias, stride, padding=1)


class GaussianHead(nn.Module):
    """Blocks of 3x3 convolutions, halved in size between blocks, pooled to one mean and one sigma.

    Args:
        inputs: channels of the map.
        widths: channels of each block.
        convs: convolutions a block.
        latent: L.
        log_sigma_range: clamp of log sigma; None leaves it as it is.
        pooling: "strided": the first convolution of a block halves; "average": 2x2 means before it do, of what there
            is at an odd edge.
    """

    def __init__(
        self,
        *,
        inputs: int,
        widths: Sequence[int],
        convs: int,
        latent: int,
        log_sigma_range: tuple[float, float] | None,
        pooling: str = "strided",
    ) -> None:
        super().__init__()
        self.log_sigma_range = log_sigma_range
        blocks: list[nn.Sequential] = []
        for width in widths:
            layers: list[nn.Module] = []
            if blocks and pooling == "average":
                layers.append(nn.AvgPool2d(kernel_size=2, ceil_mode=True))
            for i in range(convs):
                kind = _Halving if blocks and i == 0 and pooling == "strided" else nn.Conv2d
                layers.append(kind(inputs, width, kernel_size=3, padding=1))
                layers.append(nn.ReLU(inplace=True))
                inputs = width
            blocks.append(nn.Sequential(*layers))
        self.blocks = nn.Sequential(*blocks)
        self.output = nn.Conv2d(inputs, 2 * latent, kernel_size=1)

    def forward(self, x: torch.Tensor) -> Gaussian:
        """[B, inputs, e, e] -> mean and sigma, [B, L] each."""
        pooled = self.blocks(x).mean(dim=(2, 3), keepdim=True)
        # In full precision, whatever the convolutions computed in: the divergences take differences of these.
        output = self.output(pooled).flatten(1)
        mean, log_sigma = output.to(torch.promote_types(output.dtype, torch.float32)).chunk(2, dim=1)
        if self.log_sigma_range is not None:
            log_sigma = log_sigma.clamp(*self.log_sigma_range)
        return Gaussian(mean, log_sigma.exp())


class ImageLatentNet(nn.Module):
    """IGN: [mu_I, sigma_I] from F_I (equation 10), or from F_I and a mask as posterior (equation 11)."""

    def __init__(self, head: GaussianHead, stem: MaskStem | None = None) -> None:
        super().__init__()
        self.stem = stem
        self.head = head

    def forward(self, embedding: torch.Tensor, mask: torch.Tensor | None = None) -> Gaussian:
        """embedding [B, C, e, e]; mask [B, 1, S, S], given exactly where the network was built with a stem."""
        latent: Gaussian = self.head(_with_mask(embedding, self.stem, mask))
        return latent


class PromptLatentNet(nn.Module):
    """PGN: [mu_P, sigma_P] from the prompt embedding and F_I (equation 6), or with a mask as posterior.

    The tokens are brought to grid resolution by attention: every cell asks the prompt tokens what they say
    about its place. A token of the network's own answers where the prompt has none.
    """

    def __init__(
        self, head: GaussianHead, *, channels: int, heads: int, stem: MaskStem | None = None
    ) -> None:
        super().__init__()
        self.stem = stem
        self.head = head
        self.null_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.attention = Attention(channels, heads)

    def forward(
        self,
        embedding: torch.Tensor,
        position: torch.Tensor,
        tokens: torch.Tensor,
        dense: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> Gaussian:
        """Predict the prompt latent.

        Args:
            embedding: F_I, [B, C, e, e].
            position: dense positional encoding, [1, C, e, e].
            tokens: prompt tokens, [B, t, C]; t may be 0.
            dense: dense prompt embedding, broadcast to [B, C, e, e].
            mask: [B, 1, S, S] for the posterior, else None.
        """
        rows, channels, height, width = embedding.shape
        cells = (embedding + position).flatten(2).transpose(1, 2)
        keys = torch.cat([self.null_token.expand(rows, -1, -1), tokens], dim=1)
        said = self.attention(q=cells, k=keys, v=keys).transpose(1, 2).reshape(rows, channels, height, width)
        features = torch.cat([embedding, said + dense], dim=1)
        latent: Gaussian = self.head(_with_mask(features, self.stem, mask))
        return latent


def _with_mask(features: torch.Tensor, stem: MaskStem | None, mask: torch.Tensor | None) -> torch.Tensor:
    if stem is None:
        return features
    if mask is None:
        raise ValueError("a posterior network expects the rater's mask [B, 1, S, S], got None")
    return torch.cat([features, stem(mask)], dim=1)
