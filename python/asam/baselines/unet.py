"""The U-Net that all peers are built of (Ronneberger et al., MICCAI 2015), small and at logit resolution.

Two strided convolutions take the image to a quarter of its side, which is the resolution of SAM's mask logits;
the U-Net proper works from there down and comes back to there. Group norm stands where the papers have batch norm
or nothing: a row's result must not depend on the other rows of its batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

_GROUPS = 8


def conv(inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, group norm, ReLU; a kernel of 1 goes without the norm, as in the papers' last layers."""
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=kernel // 2)
    norm = [nn.GroupNorm(_GROUPS, outputs)] if kernel > 1 else []
    return nn.Sequential(layer, *norm, nn.ReLU())


def convs(inputs: int, outputs: int, count: int = 2) -> nn.Sequential:
    """``count`` 3x3 convolutions, the first of which changes the width."""
    return nn.Sequential(*(conv(inputs if i == 0 else outputs, outputs) for i in range(count)))


def resized(features: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """Bilinear, to the height and width of ``like``."""
    return functional.interpolate(features, size=like.shape[-2:], mode="bilinear", align_corners=False)


class Encoder(nn.Module):
    """Images [B, inputs, S, S] -> one map a width, of sides S/4, S/8, ... (rounded up).

    Args:
        inputs: channels of the images.
        stem: channels at half resolution.
        widths: channels of each level, multiples of 8.
        count: convolutions a level.
    """

    def __init__(self, *, inputs: int, stem: int, widths: Sequence[int], count: int = 2) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(inputs, stem, stride=2), conv(stem, widths[0], stride=2))
        before = (widths[0], *widths[:-1])
        self.levels = nn.ModuleList(convs(i, o, count) for i, o in zip(before, widths, strict=True))

    def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
        """The maps, the finest first."""
        x, maps = self.stem(images), []
        for number, level in enumerate(self.levels):
            x = level(functional.avg_pool2d(x, 2, ceil_mode=True) if number else x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """The maps of an :class:`Encoder` -> features [B, widths[0], S/4, S/4]."""

    def __init__(self, *, widths: Sequence[int], count: int = 2) -> None:
        super().__init__()
        pairs = pairwise(widths)
        self.levels = nn.ModuleList(convs(fine + coarse, fine, count) for fine, coarse in pairs)

    def forward(self, maps: Sequence[torch.Tensor]) -> torch.Tensor:
        """From the coarsest map to the finest, with skip connections."""
        x = maps[-1]
        for level, skip in zip(reversed(self.levels), reversed(maps[:-1]), strict=True):
            x = level(torch.cat([skip, resized(x, skip)], dim=1))
        return x
