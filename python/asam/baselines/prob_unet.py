"""Probabilistic U-Net (Kohl et al., NeurIPS 2018): a U-Net whose last layers see a sample of one global latent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn

from asam.baselines.base import INPUTS, Peer, PeerConfig, in_full, negative_log_likelihood, pooled
from asam.baselines.unet import Decoder, Encoder
from asam.model.latent import Gaussian, kl_terms

if TYPE_CHECKING:
    from asam.training.batches import Batch
    from asam.training.config import TrainConfig

_LOG_SIGMA = (-6.0, 2.0)


@dataclass(frozen=True, kw_only=True)
class ProbUNetConfig(PeerConfig):
    """Sizes of a Probabilistic U-Net.

    Attributes:
        latent_size: length of the latent; 6 in the paper.
        prior_stem, prior_widths: of the encoders that predict prior and posterior.
        beta: weight of the KL term.
    """

    latent_size: int = 6
    prior_stem: int = 8
    prior_widths: tuple[int, ...] = (16, 32, 48, 64)
    beta: float = 1.0


class ProbUNetState(NamedTuple):
    """Features [B, C, m, m] and the prior of the latent."""

    features: torch.Tensor
    prior: Gaussian


class GaussianEncoder(nn.Module):
    """Images -> a diagonal normal distribution of the latent: an encoder, pooled, and one 1x1 convolution."""

    def __init__(self, *, inputs: int, config: ProbUNetConfig) -> None:
        super().__init__()
        self.encoder = Encoder(inputs=inputs, stem=config.prior_stem, widths=config.prior_widths)
        self.last = nn.Linear(config.prior_widths[-1], 2 * config.latent_size)

    def forward(self, images: torch.Tensor) -> Gaussian:
        """[B, inputs, S, S] -> mean and sigma [B, L]."""
        mean, log_sigma = in_full(self.last, self.encoder(images)[-1].mean(dim=(2, 3))).chunk(2, dim=1)
        return Gaussian(mean, log_sigma.clamp(*_LOG_SIGMA).exp())


class Combination(nn.Module):
    """Three 1x1 convolutions over the features and the tiled latent ("f_comb")."""

    def __init__(self, *, channels: int, latent: int) -> None:
        super().__init__()
        # The first convolution acts on both; in two parts, its larger one runs once an image.
        self.of_features = nn.Conv2d(channels, channels, 1)
        self.of_latent = nn.Linear(latent, channels, bias=False)
        self.rest = nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, channels, 1), nn.ReLU(), nn.Conv2d(channels, 1, 1)
        )

    def forward(self, features: torch.Tensor, latents: torch.Tensor) -> torch.Tensor:
        """[B, C, m, m] and [B, n, L] -> logits [B, n, m, m]."""
        mixed = self.of_features(features)[:, None] + self.of_latent(latents)[..., None, None]
        logits: torch.Tensor = self.rest(mixed.flatten(0, 1))
        return logits.reshape(*mixed.shape[:2], *mixed.shape[-2:])


class ProbUNet(Peer[ProbUNetState]):
    """A conditional variational autoencoder with one latent an image."""

    kind = "prob_unet"
    title = "Probabilistic U-Net"
    Config = ProbUNetConfig
    config: ProbUNetConfig

    def __init__(self, config: ProbUNetConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(inputs=INPUTS, stem=config.stem, widths=config.widths)
        self.decoder = Decoder(widths=config.widths)
        self.prior = GaussianEncoder(inputs=INPUTS, config=config)
        self.posterior = GaussianEncoder(inputs=INPUTS + 1, config=config)
        self.combination = Combination(channels=config.widths[0], latent=config.latent_size)

    @property
    def noise_size(self) -> int:
        """The latent's length; the second stream serves the posterior in training."""
        return self.config.latent_size

    def encode(self, inputs: torch.Tensor) -> ProbUNetState:
        """Features and prior."""
        return ProbUNetState(self.decoder(self.encoder(inputs)), self.prior(inputs))

    def decode(self, state: ProbUNetState, noise: torch.Tensor) -> torch.Tensor:
        """Latents of the prior -> logits."""
        logits: torch.Tensor = self.combination(state.features, state.prior.sample(noise[:, :, 0]))
        return logits

    def training_loss(
        self, batch: Batch, config: TrainConfig, *, divergence_weight: float = 1.0
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Cross-entropy of a posterior sample + beta KL(posterior || prior)."""
        inputs = self.inputs(batch.images, batch.prompts)
        state = self.encode(inputs)
        posterior = self.posterior(torch.cat([inputs, batch.target[:, None]], dim=1))
        noise = self.draw(batch.seeds, 1)[:, :, 1]
        logits = self.combination(state.features, posterior.sample(noise))
        share, valid = (pooled(masks, self.config.logit_size) for masks in (batch.target, batch.valid))
        ce = negative_log_likelihood(logits, share, valid).mean()
        with torch.autocast(logits.device.type, enabled=False):
            kl = kl_terms(posterior, state.prior).sum(dim=1).mean()
        return ce + self.config.beta * divergence_weight * kl, {"ce": ce, "kl": kl}
