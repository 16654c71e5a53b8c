"""The latent networks that a configuration asks for."""

from __future__ import annotations

from torch import nn

from asam.model.config import ModelConfig
from asam.model.latent import GaussianHead, ImageLatentNet, MaskStem, NoLatent, PromptLatentNet
from asam.model.published import BoxLatentNet, RawImageLatentNet


def image_latent_net(config: ModelConfig, *, posterior: bool = False) -> nn.Module:
    """IGN: what it may see [B, ...], and with ``posterior`` the rater's mask -> :class:`Gaussian`."""
    if "image" not in config.latents:
        return NoLatent(latent=config.latent)
    if config.image_prior == "image":
        channels = config.image_prior_channels + posterior
        return RawImageLatentNet(_head(config, channels))
    if not posterior:
        return ImageLatentNet(_head(config, config.sizes.channels))
    stem = MaskStem(channels=config.sizes.prior_widths[0], cell=config.cell)
    return ImageLatentNet(_head(config, config.sizes.channels + stem.channels), stem)


def prompt_latent_net(config: ModelConfig, *, posterior: bool = False) -> nn.Module:
    """PGN: embedding, position, tokens, dense, and with ``posterior`` the rater's mask -> :class:`Gaussian`."""
    sizes = config.sizes
    if "prompt" not in config.latents:
        return NoLatent(latent=config.latent)
    if config.prompt_prior == "published":
        return BoxLatentNet(_head(config, 1), channels=sizes.channels, grid=config.grid, boxes=1 + posterior)
    stem = MaskStem(channels=sizes.prior_widths[0], cell=config.cell) if posterior else None
    inputs = 2 * sizes.channels + (0 if stem is None else stem.channels)
    return PromptLatentNet(
        _head(config, inputs), channels=sizes.channels, heads=sizes.decoder_heads, stem=stem
    )


def _head(config: ModelConfig, inputs: int) -> GaussianHead:
    sizes = config.sizes
    return GaussianHead(
        inputs=inputs,
        widths=sizes.prior_widths,
        convs=sizes.prior_convs,
        latent=config.latent,
        log_sigma_range=config.log_sigma_range,
        pooling=config.pooling,
    )
