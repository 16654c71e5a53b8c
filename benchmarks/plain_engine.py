"""An engine folder with random weights, made without a model: for benchmarks and tests where only PyTorch is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from plain_encoder import prior_of, random_prior_weights
from plain_encoders import random_weights_of
from plain_module import Weights
from plain_sampler import random_weights
from safetensors.numpy import save_file

from asam_trt import bundle
from asam_trt.encoder_spec import EncoderConfig, TinyEncoderConfig
from asam_trt.sampler_spec import SamplerConfig


def random_engine(
    folder: Path, sampler: SamplerConfig, encoder: EncoderConfig | TinyEncoderConfig
) -> bundle.EngineBundle:
    """Write one and open it. It has native weights for everything; its ONNX files are empty."""
    folder.mkdir(parents=True)
    save_file(random_weights(sampler) | _prompt_tables(sampler.channels), folder / bundle.SAMPLER)
    save_file(random_weights_of(encoder), folder / bundle.ENCODER_WEIGHTS, {"encoder": encoder.to_json()})
    for name, prompt in ((bundle.IMAGE_PRIOR_WEIGHTS, False), (bundle.PROMPT_PRIOR_WEIGHTS, True)):
        prior = prior_of(sampler.grid, prompt=prompt, channels=sampler.channels, latent=sampler.latent)
        save_file(random_prior_weights(prior), folder / name, {"prior": prior.to_json()})
    for name in (bundle.IMAGE_ENCODER, bundle.PROMPT_PRIOR):
        (folder / name).touch()
    bundle.write_manifest(
        folder,
        sampler=sampler.as_dict(),
        preprocessing={"side": sampler.side, "mean": [123.7, 116.3, 103.5], "std": [58.4, 57.1, 57.4]},
        source={},
        built_by={},
        parity={},
    )
    return bundle.EngineBundle.open(folder)


def _prompt_tables(channels: int) -> Weights:
    rng = np.random.default_rng(3)
    shapes = bundle.prompt_shapes(channels, {})
    return {name: rng.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
