"""The plain image encoder that has given sizes: SAM's or MobileSAM's."""

from __future__ import annotations

import torch
from plain_encoder import PlainEncoder, random_encoder_weights
from plain_module import PlainModule, Weights
from plain_tiny_encoder import PlainTinyEncoder, random_tiny_weights

from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig


def random_weights_of(config: EncoderConfig | TinyEncoderConfig) -> Weights:
    """Under the names of image_encoder.safetensors."""
    if isinstance(config, TinyEncoderConfig):
        return random_tiny_weights(config)
    return random_encoder_weights(config)


def plain_encoder_of(
    config: EncoderConfig | TinyEncoderConfig, weights: Weights, dtype: torch.dtype, device: str = "cpu"
) -> PlainModule:
    """Image [3, S, S] -> embedding [C, e, e], every step in ``dtype``."""
    if isinstance(config, TinyEncoderConfig):
        return PlainTinyEncoder(config, weights, dtype, device)
    return PlainEncoder(config, weights, dtype, device)
