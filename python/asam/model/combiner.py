"""The combiner ("Fcomb"): 1x1 convolutions that mix a latent into an embedding."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class Combiner(nn.Module):
    """Four 1x1 convolutions with ReLU between: C + L -> C -> C -> C -> C.

    The first one is W [f; z] = W_f f + W_z z, so W_f f is computed once an image and the latent is a
    vector that is broadcast over cells, never a tiled map.
    """

    def __init__(self, *, channels: int, latent: int, depth: int = 4) -> None:
        super().__init__()
        self.channels = channels
        inputs = [channels + latent] + [channels] * (depth - 1)
        self.layers = nn.ModuleList(nn.Conv2d(n, channels, kernel_size=1) for n in inputs)

    @torch.no_grad()
    def pass_feature(self, reach: torch.Tensor, *, spread: float) -> None:
        """Set the weights so that a feature comes out as it went in, with a little of the latent.

        The first layer lifts the feature above zero, where no ReLU changes it, and the last one puts it back.

        Args:
            reach: [C], how far below zero each channel of the feature goes.
            spread: standard deviation, root mean square over channels, of what a standard normal latent adds.
        """
        first, *_, last = layers = [layer for layer in self.layers if isinstance(layer, nn.Conv2d)]
        of_latent = first.weight[:, self.channels :].clone()
        for layer in layers:
            layer.weight.zero_()
            layer.weight[:, : self.channels, 0, 0] = torch.eye(self.channels)
            assert layer.bias is not None
            layer.bias.zero_()
        size = of_latent.square().sum(dim=1).mean().sqrt()
        first.weight[:, self.channels :] = of_latent * (spread / size)
        assert first.bias is not None
        assert last.bias is not None
        first.bias += reach
        last.bias -= reach

    def forward(self, feature: torch.Tensor, latent: torch.Tensor) -> torch.Tensor:
        """Mix n latents into each feature map.

        Args:
            feature: [B, C, h, w]; h = w = 1 for an embedding that is the same in every cell.
            latent: [B, n, L].

        Returns:
            [B * n, C, h, w], the hypotheses of one image side by side.
        """
        first, *others = (layer for layer in self.layers if isinstance(layer, nn.Conv2d))
        of_feature = functional.conv2d(feature, first.weight[:, : self.channels], first.bias)
        of_latent = functional.linear(latent, first.weight[:, self.channels :, 0, 0])
        hidden = (of_feature[:, None] + of_latent[..., None, None]).flatten(0, 1)
        for layer in others:
            hidden = layer(functional.relu(hidden))
        return hidden
