"""Named, frozen sets of choices: the model's, and the training's and the evaluation's that belong to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from asam.model.config import BACKBONES, ModelConfig, pixel_fields, start_of


@dataclass(frozen=True, kw_only=True)
class Preset:
    """One set of choices; every row of the table in docs/presets.md is a field of it or of its parts.

    Attributes:
        model: sizes and choices of the network.
        training: fields of :class:`asam.training.TrainConfig` that differ from its defaults.
        epochs: passes over the training data; None leaves the number of steps to the run.
        split_scheme: how data without splits of its own is divided, see :func:`asam.data.make_split`.
        protocol: of ``asam evaluate`` that belongs to it: prompt at test, conventions, checkpoints.
        departures: what the source of the preset has and this network or its training has not.
    """

    model: ModelConfig
    training: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    epochs: int | None = None
    split_scheme: Literal["group", "index-order"] = "group"
    protocol: Literal["strict", "a2sam"] = "strict"
    departures: tuple[str, ...] = ()


# Adam at a constant rate, one batch after another, and nothing around it.
_PLAIN_ADAM: dict[str, Any] = {
    "learning_rate": 1e-4,
    "schedule": "constant",
    "warmup": 0,
    "weight_decay": 0.0,
    "ema": 0.0,
    "augment": False,
    "kl_warmup": 0,
    "free_nats": 0.0,
    "alpha_prompt": 1.0,
    "alpha_image": 1.0,
    "energy": 0.0,
}

PRESETS: dict[str, Preset] = {
    "asam": Preset(model=ModelConfig()),
    "paper": Preset(
        model=ModelConfig(
            preset="paper",
            mask_tokens=8,
            adaptation="full",
            pooling="average",
            combiners="fresh",
            prompt_latent_on="tokens and dense",
            **pixel_fields("unit"),
        ),
        training=MappingProxyType(
            {
                **_PLAIN_ADAM,
                "perturbation": "train",
                "dice": 0.0,
                "focal": 0.0,
                "score": 0.0,
                "ensemble_share": 0.5,
            }
        ),
        epochs=100,
        departures=(
            "the paper does not say when its second stage begins; here after half of the run",
            "gradients are clipped; the paper does not say so",
            "equation (14) has no term for the quality head, which keeps the weights it began with",
        ),
    ),
    "a2sam": Preset(
        model=ModelConfig(
            preset="a2sam",
            mask_tokens=6,
            adaptation="lora",
            lora_rank=4,
            lora_alpha=4.0,
            lora_targets=("q", "v"),
            start="fresh",
            combiners="fresh",
            box_units="published",
            image_prior="image",
            prompt_prior="published",
            posterior_prompt="box",
            pooling="average",
            log_sigma_range=None,
            **pixel_fields("unit"),
        ),
        training=MappingProxyType(
            {
                **_PLAIN_ADAM,
                "objective": "published",
                "ensemble_share": 0.0,
                "batch_size": 10,
                "shuffle": False,
                "clip": None,
                "prompts": {"own": 0.0, "box": 1.0},
                "box": "widest",
                "perturbation": "published",
            }
        ),
        epochs=50,
        split_scheme="index-order",
        protocol="a2sam",
        departures=(
            "an image in colour gives its mean to the image latent's networks; the code's LIDC images are grey",
        ),
    ),
}
"""``asam``: the default. ``paper``: Li et al., NeurIPS 2024, as its text says (500 epochs on Sim10k). ``a2sam``: as
the code that was published with it does, quirks included (100 epochs on Sim10k)."""


def fresh_model(
    preset: str, /, *, pixels: str | None = None, masks: str | None = None, **given: Any
) -> dict[str, Any]:
    """Fields of :class:`ModelConfig` for a model that is not trained yet.

    The preset's, then what is given. The preset ``asam`` draws its prompts where the backbone has no SAM weights, which
    know already what a box is.

    Args:
        preset: key of :data:`PRESETS`.
        pixels: key of :data:`asam.model.config.PIXELS`, which sets ``pixel_mean`` and ``pixel_std``; None leaves them,
            unless the backbone's weights were trained for others than SAM's.
        masks: key of :data:`asam.model.config.MASKS`, which sets ``start``; None leaves it, with the same exception.
        given: fields that differ.

    Raises:
        ValueError: no such pixels or masks.
    """
    own = PRESETS[preset].model
    model = {**own.to_dict(), **given}
    sizes = BACKBONES.get(model["backbone"])
    if sizes is not None:
        if pixels is None and "pixel_mean" not in given:
            pixels = sizes.pixels
        if masks is None and "start" not in given and own.start != "fresh":
            masks = sizes.masks
    if pixels is not None:
        model |= pixel_fields(pixels)
    if masks is not None:
        model["start"] = start_of(masks)
    if preset == "asam" and "draws_prompts" not in given and sizes is not None:
        model["draws_prompts"] = not sizes.pretrained
    return model
