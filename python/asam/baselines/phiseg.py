"""PHiSeg (Baumgartner et al., MICCAI 2019): a hierarchy of latent maps, each refining the mask of the coarser ones."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from asam.baselines.base import INPUTS, Peer, PeerConfig, in_full, negative_log_likelihood, pooled
from asam.baselines.unet import Encoder, convs, resized
from asam.model.latent import Gaussian, kl_terms

if TYPE_CHECKING:
    from asam.training.batches import Batch
    from asam.training.config import TrainConfig

_LEAST_SIGMA = 1e-4


@dataclass(frozen=True, kw_only=True)
class PHiSegConfig(PeerConfig):
    """Sizes of a PHiSeg.

    Attributes:
        widths: of the levels, each of which has a latent map; five in the paper.
        latent_channels: of a latent map; 2 in the paper.
        beta: weight of the KL terms.
    """

    stem: int = 16
    widths: tuple[int, ...] = (24, 32, 48, 64, 64)
    latent_channels: int = 2
    beta: float = 1.0

    @property
    def sides(self) -> tuple[int, ...]:
        """Side of each level's maps, the finest first: m, then halves, rounded up."""
        sides = [self.logit_size]
        while len(sides) < len(self.widths):
            sides.append((sides[-1] + 1) // 2)
        return tuple(sides)


class Ladder(nn.Module):
    """p(z_l | z_{l+1}, x), or q(z_l | z_{l+1}, x, s): the same network, with or without the mask as an input."""

    def __init__(self, *, inputs: int, config: PHiSegConfig) -> None:
        super().__init__()
        widths, latent = config.widths, config.latent_channels
        self.encoder = Encoder(inputs=inputs, stem=config.stem, widths=widths)
        self.coarser = nn.ModuleList(convs(latent, width, 1) for width in widths[:-1])
        self.merge = nn.ModuleList(convs(2 * width, width, 1) for width in widths[:-1])
        self.heads = nn.ModuleList(nn.Conv2d(width, 2 * latent, 1) for width in widths)

    def forward(self, level: int, maps: list[torch.Tensor], above: torch.Tensor | None) -> Gaussian:
        """The distribution of one level's latent map, [B, z, h, w].

        Args:
            level: 0 is the finest.
            maps: of the encoder.
            above: the next coarser latent map; None at the coarsest level.
        """
        x = maps[level]
        if above is not None:
            x = self.merge[level](torch.cat([x, self.coarser[level](resized(above, x))], dim=1))
        mean, raw = in_full(self.heads[level], x).chunk(2, dim=1)
        return Gaussian(mean, functional.softplus(raw) + _LEAST_SIGMA)


class Likelihood(nn.Module):
    """Latent maps -> logits of each level; they see nothing but the latents."""

    def __init__(self, config: PHiSegConfig) -> None:
        super().__init__()
        widths = config.widths
        self.own = nn.ModuleList(convs(config.latent_channels, width) for width in widths)
        pairs = pairwise(widths)
        self.coarser = nn.ModuleList(convs(coarse, fine, 1) for fine, coarse in pairs)
        self.merge = nn.ModuleList(convs(2 * width, width) for width in widths[:-1])
        self.last = nn.ModuleList(nn.Conv2d(width, 1, 1) for width in widths)

    def forward(self, latents: list[torch.Tensor]) -> torch.Tensor:
        """Latent maps, the finest first -> logits [B, levels, m, m], the coarsest first, each the sum so far."""
        size = latents[0].shape[-2:]
        x, residuals = self.own[-1](latents[-1]), []
        for level in reversed(range(len(latents))):
            if level < len(latents) - 1:
                own = self.own[level](latents[level])
                x = self.merge[level](torch.cat([own, self.coarser[level](resized(x, own))], dim=1))
            residuals.append(functional.interpolate(self.last[level](x), size=size, mode="nearest"))
        return torch.cat(residuals, dim=1).cumsum(dim=1)


class Draw(NamedTuple):
    """Latent maps, the finest first, and the distributions that they were drawn from."""

    latents: list[torch.Tensor]
    of: list[Gaussian]


class PHiSeg(Peer[list[torch.Tensor]]):
    """A conditional variational autoencoder with a latent map at every resolution."""

    kind = "phiseg"
    title = "PHiSeg"
    Config = PHiSegConfig
    config: PHiSegConfig

    def __init__(self, config: PHiSegConfig) -> None:
        super().__init__()
        self.config = config
        self.prior = Ladder(inputs=INPUTS, config=config)
        self.posterior = Ladder(inputs=INPUTS + 1, config=config)
        self.likelihood = Likelihood(config)

    @property
    def noise_size(self) -> int:
        """Elements of all latent maps; the second stream serves the posterior in training."""
        return self.config.latent_channels * sum(side**2 for side in self.config.sides)

    def encode(self, inputs: torch.Tensor) -> list[torch.Tensor]:
        """Maps of the prior's encoder."""
        maps: list[torch.Tensor] = self.prior.encoder(inputs)
        return maps

    def decode(self, state: list[torch.Tensor], noise: torch.Tensor) -> torch.Tensor:
        """Latent maps of the prior, the coarsest first, and the logits they give."""
        rows, n = noise.shape[:2]
        repeated = [maps.repeat_interleave(n, dim=0) for maps in state]
        drawn = self._descend(self.prior, repeated, noise[:, :, 0].flatten(0, 1))
        logits: torch.Tensor = self.likelihood(drawn.latents)[:, -1]
        return logits.reshape(rows, n, *logits.shape[1:])

    def training_loss(
        self, batch: Batch, config: TrainConfig, *, divergence_weight: float = 1.0
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Cross-entropy at every level + beta sum_l 4^l KL(q(z_l) || p(z_l)), l = 0 the finest."""
        inputs = self.inputs(batch.images, batch.prompts)
        seen = self.posterior.encoder(torch.cat([inputs, batch.target[:, None]], dim=1))
        posterior = self._descend(self.posterior, seen, self.draw(batch.seeds, 1)[:, 0, 1])
        logits = self.likelihood(posterior.latents)
        share, valid = (pooled(masks, self.config.logit_size) for masks in (batch.target, batch.valid))
        ce = negative_log_likelihood(logits, share, valid).mean(dim=0)

        maps, above = self.encode(inputs), [*posterior.latents[1:], None]
        priors = [self.prior(level, maps, above[level]) for level in range(len(maps))]
        with torch.autocast(logits.device.type, enabled=False):
            divergences = [
                kl_terms(q, p).sum(dim=(1, 2, 3)).mean() for q, p in zip(posterior.of, priors, strict=True)
            ]
        kl = torch.stack([4**level * value for level, value in enumerate(divergences)]).sum()
        parts = {"ce": ce[-1], "ce_coarser": ce[:-1].sum()}
        parts |= {f"kl_{level}": value for level, value in enumerate(divergences)}
        return ce.sum() + self.config.beta * divergence_weight * kl, parts

    def _descend(self, ladder: Ladder, maps: list[torch.Tensor], noise: torch.Tensor) -> Draw:
        """Draw the latent maps, each given the one above; noise [B, D], the coarsest level's first."""
        latents: list[torch.Tensor] = []
        distributions: list[Gaussian] = []
        first = 0
        for level in reversed(range(len(maps))):
            found = ladder(level, maps, latents[0] if latents else None)
            eps = noise[:, first : first + found.mean[0].numel()].reshape(found.mean.shape)
            first += eps[0].numel()
            latents.insert(0, found.mean + found.sigma * eps)
            distributions.insert(0, found)
        return Draw(latents, distributions)
