"""Stochastic Segmentation Network (Monteiro et al., NeurIPS 2020): logits are jointly normal, of low rank."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from asam.baselines.base import INPUTS, Peer, PeerConfig, negative_log_likelihood, pooled
from asam.baselines.unet import Decoder, Encoder

if TYPE_CHECKING:
    from asam.training.batches import Batch
    from asam.training.config import TrainConfig

_LEAST_VARIANCE = 1e-5
_SMALL, _LOG_VARIANCE = 0.1, -4.0  # of the covariance's weights at the start


@dataclass(frozen=True, kw_only=True)
class SSNConfig(PeerConfig):
    """Sizes of a Stochastic Segmentation Network.

    Attributes:
        rank: of the covariance; 10 in the paper.
        samples: draws that the likelihood is estimated from, an even number; 20 in the paper.
    """

    widths: tuple[int, ...] = (48, 64, 96, 128, 128)
    rank: int = 10
    samples: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank < 1 or self.samples < 2 or self.samples % 2:
            raise ValueError(
                f"rank, samples: expected at least 1, and an even number, got {self.rank} and {self.samples}"
            )


class LowRankNormal(NamedTuple):
    """Normal distribution of a map: mean and variance [B, m, m], factor [B, r, m, m].

    The covariance of two pixels i, j is sum_r factor_ri factor_rj, plus variance_i where i = j.
    """

    mean: torch.Tensor
    variance: torch.Tensor
    factor: torch.Tensor

    def centred(self, noise: torch.Tensor) -> torch.Tensor:
        """Normal numbers [B, n, r + m^2] -> draws of the distribution minus its mean, [B, n, m, m]."""
        rank = self.factor.shape[1]
        shared = torch.einsum("bnr,brhw->bnhw", noise[..., :rank], self.factor)
        own = noise[..., rank:].reshape(shared.shape)
        return shared + self.variance.sqrt()[:, None] * own


class SSN(Peer[LowRankNormal]):
    """A U-Net that predicts the distribution of its logits."""

    kind = "ssn"
    title = "SSN"
    Config = SSNConfig
    config: SSNConfig

    def __init__(self, config: SSNConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(inputs=INPUTS, stem=config.stem, widths=config.widths)
        self.decoder = Decoder(widths=config.widths)
        self.last = nn.Conv2d(config.widths[0], 2 + config.rank, 1)
        # The likelihood hardly minds samples that are wrong as long as one is right, so that wild ones would never
        # be tamed: begin with a covariance that is nearly none and let it grow.
        with torch.no_grad():
            for parameter in self.last.parameters():
                parameter[1:] *= _SMALL
            self.last.get_parameter("bias")[1] += _LOG_VARIANCE

    @property
    def noise_size(self) -> int:
        """One number a factor, one a pixel."""
        return self.config.rank + self.config.logit_size**2

    def encode(self, inputs: torch.Tensor) -> LowRankNormal:
        """The distribution of the logits."""
        found = self.last(self.decoder(self.encoder(inputs)))
        return LowRankNormal(found[:, 0], found[:, 1].exp() + _LEAST_VARIANCE, found[:, 2:])

    def decode(self, state: LowRankNormal, noise: torch.Tensor) -> torch.Tensor:
        """Draws of the logits."""
        return state.mean[:, None] + state.centred(noise[:, :, 0])

    def training_loss(
        self, batch: Batch, config: TrainConfig, *, divergence_weight: float = 1.0
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """-log (1/M) sum_m p(mask | logits_m), the logits drawn in pairs mean +- deviation."""
        state = self.encode(self.inputs(batch.images, batch.prompts))
        deviation = state.centred(self.draw(batch.seeds, self.config.samples // 2)[:, :, 0])
        logits = state.mean[:, None] + torch.cat([deviation, -deviation], dim=1)
        share, valid = (pooled(masks, self.config.logit_size) for masks in (batch.target, batch.valid))
        nats = negative_log_likelihood(logits, share, valid)
        loss = (math.log(nats.shape[1]) - torch.logsumexp(-nats, dim=1)).mean()
        return loss, {"nll": loss, "ce": nats.mean()}
