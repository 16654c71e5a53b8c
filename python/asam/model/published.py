"""Latent networks of the published A-SAM code, for the preset ``a2sam`` and its weights."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from asam.model.latent import Gaussian, GaussianHead

_MAP_CHANNELS = 8  # of the map that a box becomes at grid resolution
_FULL = (1024, 512)  # widths of the fully connected layers
_UPWARD = (128, 64, 32, 16)  # channels after each convolution; the map doubles after each


class RawImageLatentNet(nn.Module):
    """[mu_I, sigma_I] from the image itself, beside the rater's mask as posterior."""

    def __init__(self, head: GaussianHead) -> None:
        super().__init__()
        self.head = head

    def forward(self, images: torch.Tensor, mask: torch.Tensor | None = None) -> Gaussian:
        """images [B, c, S, S], c of them 1 or 3; mask [B, 1, S, S] for the posterior."""
        latent: Gaussian = self.head(images if mask is None else torch.cat([images, mask], dim=1))
        return latent


class BoxLatentNet(nn.Module):
    """[mu_P, sigma_P] from the two tokens of a box and F_I; as posterior also from the rater's own box.

    Fully connected layers make a map of the tokens at grid resolution; with F_I it goes through convolutions and
    bilinear doublings up to one channel at S x S, which the head then halves again.

    Args:
        head: of one input channel.
        channels: C.
        grid: e; it doubles four times, to S = 16 e.
        boxes: 1 for the prior, 2 for the posterior.
    """

    def __init__(self, head: GaussianHead, *, channels: int, grid: int, boxes: int) -> None:
        super().__init__()
        self.head = head
        widths = (2 * boxes * channels, *_FULL, _MAP_CHANNELS * grid**2)
        self.full = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        steps = (channels + _MAP_CHANNELS, *_UPWARD, 1)
        self.upward = nn.ModuleList(nn.Conv2d(a, b, kernel_size=3, padding=1) for a, b in pairwise(steps))

    def forward(
        self,
        embedding: torch.Tensor,
        position: torch.Tensor,
        tokens: torch.Tensor,
        dense: torch.Tensor,
        rater_tokens: torch.Tensor | None = None,
    ) -> Gaussian:
        """Predict the prompt latent.

        Args:
            embedding: F_I, [B, C, e, e].
            position, dense: not looked at; other prompt networks do.
            tokens: of the prompt's box, [B, 2, C].
            rater_tokens: of the rater's box, [B, 2, C], for the posterior.
        """
        rows, _, height, width = embedding.shape
        said = tokens if rater_tokens is None else torch.cat([rater_tokens, tokens], dim=1)
        hidden = said.flatten(1)
        for layer in self.full[:-1]:
            hidden = functional.relu(layer(hidden))
        box_map = self.full[-1](hidden).reshape(rows, _MAP_CHANNELS, height, width)
        features = torch.cat([embedding, box_map], dim=1)
        for layer in self.upward[:-1]:
            features = functional.relu(layer(features))
            features = functional.interpolate(features, scale_factor=2, mode="bilinear", align_corners=True)
        latent: Gaussian = self.head(self.upward[-1](features))
        return latent


def initialise(latent_nets: Iterable[nn.Module], combiners: Iterable[nn.Module]) -> None:
    """Fresh weights as the published code draws them, in place.

    Convolutions of the latent networks by He et al. 2015, their outputs too, with a standard normal bias; combiners
    orthogonal. What makes a map of a box keeps PyTorch's defaults.
    """
    for net in latent_nets:
        head = net.head
        assert isinstance(head, GaussianHead)
        for layer in head.blocks.modules():
            if isinstance(layer, nn.Conv2d):
                _he_normal(layer)
                _small_bias(layer)
        _he_normal(head.output)
        nn.init.normal_(_bias(head.output))
    for combiner in combiners:
        for layer in combiner.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.orthogonal_(layer.weight)
                _small_bias(layer)


def _he_normal(layer: nn.Conv2d) -> None:
    nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")


def _small_bias(layer: nn.Conv2d) -> None:
    nn.init.trunc_normal_(_bias(layer), std=1e-3, a=-2e-3, b=2e-3)


def _bias(layer: nn.Conv2d) -> torch.Tensor:
    assert layer.bias is not None
    return layer.bias
