"""MoSE (Gao et al., ICLR 2023): a mixture of stochastic experts, trained by optimal transport to the raters."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from asam.baselines.base import INPUTS, Peer, PeerConfig, pooled
from asam.baselines.transport import coupling
from asam.baselines.unet import Decoder, Encoder

if TYPE_CHECKING:
    from asam.training.batches import Batch
    from asam.training.config import TrainConfig

_SPREAD = 1.0  # of the experts' means at the start
_SIGMA = 1 / 8  # of every expert at the start, as in the published code


@dataclass(frozen=True, kw_only=True)
class MoSEConfig(PeerConfig):
    """Sizes of a MoSE.

    Attributes:
        experts: K; 4 in the paper.
        samples: of each expert in training; 4 in the paper.
        latent_size: length of an expert's latent; 1 in the paper.
        injection: channels of the layers that see the latent, which run once a sample; as many as the U-Net's in the
            paper.
        most: of the raters' weight that one sample may take in training.
        beta: weight of the gate's KL term.
    """

    experts: int = 4
    samples: int = 4
    latent_size: int = 1
    injection: int = 16
    most: float = 0.125
    beta: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        counts = (self.experts, self.samples, self.latent_size, self.injection)
        if min(counts) < 1:
            raise ValueError(
                f"experts, samples, latent_size, injection: expected at least 1 of each, got {counts}"
            )
        if not 1 / (self.experts * self.samples) <= self.most <= 1:
            raise ValueError(
                f"most: expected 1 / {self.experts * self.samples} samples to 1, got {self.most}"
            )


class MoSEState(NamedTuple):
    """Features [B, C, m, m] and the log probabilities of the experts, [B, K]."""

    features: torch.Tensor
    gate: torch.Tensor


class Injection(nn.Module):
    """The latent shifts and scales the features' channels; three 1x1 convolutions follow."""

    def __init__(self, *, channels: int, latent: int) -> None:
        super().__init__()
        self.shift = nn.Linear(latent, channels)
        self.scale = nn.Linear(latent, channels)
        self.rest = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 1),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
        )

    def forward(self, features: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """[B, C, m, m] and [B, n, L] -> logits [B, n, m, m]."""
        shift, scale = (layer(latents)[..., None, None] for layer in (self.shift, self.scale))
        mixed = (features[:, None] + shift) * scale
        logits: torch.Tensor = self.rest(mixed.flatten(0, 1))
        return logits.reshape(*mixed.shape[:2], *mixed.shape[-2:])


class MoSE(Peer[MoSEState]):
    """K experts, each a normal distribution of the latent of one U-Net, and a gate that weighs them."""

    kind = "mose"
    title = "MoSE"
    Config = MoSEConfig
    config: MoSEConfig

    def __init__(self, config: MoSEConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(inputs=INPUTS, stem=config.stem, widths=config.widths)
        self.decoder = Decoder(widths=config.widths)
        self.narrow = nn.Conv2d(config.widths[0], config.injection, 1)
        width = config.widths[-1]
        self.gate = nn.Sequential(
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, width),
            nn.ReLU(),
            nn.Linear(width, config.experts, bias=False),
        )
        self.injection = Injection(channels=config.injection, latent=config.latent_size)
        # Spread evenly: experts that begin alike take long to part.
        spread = torch.linspace(-_SPREAD, _SPREAD, config.experts)
        self.mean = nn.Parameter(spread[:, None].repeat(1, config.latent_size))
        self.log_sigma = nn.Parameter(torch.full_like(self.mean, math.log(_SIGMA)))

    @property
    def noise_size(self) -> int:
        """The latent's length; the first number of the second stream chooses the expert."""
        return self.config.latent_size

    def encode(self, inputs: torch.Tensor) -> MoSEState:
        """Features, and the gate over the pooled coarsest map."""
        maps = self.encoder(inputs)
        gate = self.gate(maps[-1].mean(dim=(2, 3))).log_softmax(dim=1)
        return MoSEState(self.narrow(self.decoder(maps)), gate)

    def decode(self, state: MoSEState, noise: torch.Tensor) -> torch.Tensor:
        """An expert by its probability, then a latent of its distribution."""
        uniform = torch.special.ndtr(noise[:, :, 1, 0].double())
        reached = state.gate.double().exp().cumsum(dim=1)
        chosen = torch.searchsorted(reached, uniform).clamp(max=self.config.experts - 1)
        latents = self.mean[chosen] + self.log_sigma.exp()[chosen] * noise[:, :, 0]
        logits: torch.Tensor = self.injection(state.features, latents)
        return logits

    def training_loss(
        self, batch: Batch, config: TrainConfig, *, divergence_weight: float = 1.0
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The paper's Wasserstein-like loss: sum_ij g_ij (1 - IoU_ij) + beta KL(experts' share of g || gate).

        Samples of all experts, weighted by the gate, are coupled with the raters; see :func:`coupling`.
        """
        state = self.encode(self.inputs(batch.images, batch.prompts))
        experts, samples = self.config.experts, self.config.samples
        noise = self.draw(batch.seeds, experts * samples)[:, :, 0].unflatten(1, (experts, samples))
        latents = self.mean[:, None] + self.log_sigma.exp()[:, None] * noise
        logits = self.injection(state.features, latents.flatten(1, 2))

        raters, valid = (pooled(masks, self.config.logit_size) for masks in (batch.raters, batch.valid))
        with torch.autocast(logits.device.type, enabled=False):  # areas need more digits than bf16 has
            cost = soft_iou_distance(logits.float().sigmoid() * valid[:, None], raters * valid[:, None])
        plan = coupling(cost, batch.weights, most=self.config.most)
        transport = (plan * cost).sum(dim=(1, 2)).mean()
        share = plan.sum(dim=2).unflatten(1, (experts, samples)).sum(dim=2)
        gate = (torch.xlogy(share, share) - share * state.gate).sum(dim=1).mean()
        total = transport + self.config.beta * divergence_weight * gate
        return total, {"transport": transport, "gate": gate}


def soft_iou_distance(samples: torch.Tensor, raters: torch.Tensor) -> torch.Tensor:
    """1 - (|s y| + 1) / (|s| + |y| - |s y| + 1) of every pair: [B, N, h, w] and [B, M, h, w] -> [B, N, M]."""
    a, b = samples.flatten(2), raters.flatten(2)
    overlap = a @ b.transpose(1, 2)
    total = a.sum(dim=2)[:, :, None] + b.sum(dim=2)[:, None]
    return 1 - (overlap + 1) / (total - overlap + 1)
