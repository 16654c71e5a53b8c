"""Which parameters train: all of them, low-rank adapters of the image encoder, or all but the image encoder."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from asam.model import lora
from asam.model.parameters import IMAGE_ENCODER, SINGLE_MASK_HEAD, group_of, groups
from asam.model.tiny_vit import TinyViT

if TYPE_CHECKING:
    from asam.model.network import ASAM


def adapt(
    model: ASAM,
    mode: str,
    *,
    rank: int | None = None,
    alpha: float | None = None,
    targets: Sequence[str] | None = None,
) -> ASAM:
    """Choose how ``model`` is adapted, in place; the choice is saved with it. Do it before making an optimiser.

    The prompt encoder, the decoder, the latent networks, the combiners and the ensemble weights train in every mode.
    Adapters that the model has already are merged first, so its outputs do not change.

    Args:
        mode: "full" trains everything, "lora" adapters in place of the image encoder's own weights, "frozen" nothing
            of the image encoder.
        rank, alpha, targets: of the adapters, see :class:`ModelConfig`; None keeps the model's.

    Returns:
        ``model`` itself.

    Raises:
        ValueError: an unknown mode or target, or a rank or alpha that is not positive.
    """
    asked = {
        "lora_rank": rank,
        "lora_alpha": alpha,
        "lora_targets": None if targets is None else tuple(targets),
    }
    given = {k: v for k, v in asked.items() if v is not None}
    config = replace(model.config, adaptation=mode, **given)  # type: ignore[arg-type]
    lora.merge(model.image_encoder)
    model.config = config
    prepare(model)
    return model


def prepare(model: ASAM) -> None:
    """Bring a model without adapters to its configuration: install them, and mark what trains."""
    config = model.config
    if config.adaptation == "lora":
        encoder = model.image_encoder
        assert not isinstance(encoder, TinyViT)  # the configuration refuses it
        lora.install(encoder, rank=config.lora_rank, alpha=config.lora_alpha, targets=config.lora_targets)
    model.requires_grad_(True)
    # The ensemble weighs the masks 1..K; a head that gives none of them would never see a gradient.
    freeze(model, SINGLE_MASK_HEAD)
    if config.adaptation != "full":
        freeze(model, IMAGE_ENCODER)


def freeze(model: ASAM, *names: str) -> None:
    """Stop training whole groups, rows of :func:`trainable_parameters`.

    ``freeze(model, "ensemble")`` begins the paper's second stage.

    Raises:
        ValueError: a name that is no group of this model.
    """
    known = groups(model)
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"freeze: expected groups out of {known}, got {unknown}")
    for name, parameter in model.named_parameters():
        if group_of(name) in names:
            parameter.requires_grad_(False)
            parameter.grad = None


def merged(model: ASAM) -> ASAM:
    """A copy of ``model`` without adapters that computes the same; for export and for plain SAM modules."""
    plain = copy.deepcopy(model)
    if plain.config.adaptation == "lora":
        adapt(plain, "full")
    return plain
