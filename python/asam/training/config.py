"""Every choice of a training run; saved beside its checkpoints."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, get_args

from asam.prompts import PERTURBATIONS, PromptBox, PromptMix

Schedule = Literal["cosine", "linear", "constant"]
Precision = Literal["no", "bf16", "fp16"]
Objective = Literal["evidence", "published"]


# Beyond these memory, or the 64 bits of a random generator's seed, run out.
_MOST = {"steps": 10**8 - 1, "batch_size": 1 << 20, "prior_samples": 1024, "workers": 1024, "seed": 1 << 62}


TERMS = ("alpha_prompt", "alpha_image", "free_nats", "dice", "focal", "score", "energy", "prior_samples")
"""Fields that the objective "evidence" alone looks at."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of one run.

    Attributes:
        steps: optimiser steps of the whole run; the schedule ends with them. A resume with another number follows the
            new schedule from there on, without another warm-up.
        batch_size: images a step, over all processes.
        shuffle: a new order of the samples in each pass.
        accumulate: parts that each process computes its share of a batch in, to save memory; changes no result.
        mixed_precision: "bf16" or "fp16" for the network's products, "no" for float32 throughout.
        learning_rate: peak, after the warm-up.
        schedule: from the peak to the last step: "cosine" or "linear" to zero, or "constant".
        warmup: steps of a linear warm-up of the learning rate.
        weight_decay: AdamW's, on the weights of linear layers and convolutions only.
        clip: largest norm of the gradient; None leaves it as it is.
        ema: decay of the averaged weights that are evaluated and kept.
        prompts: shares of the kinds of prompts that are asked.
        box: "smallest" around all raters' masks, or "widest": the largest single rater's, with a margin.
        perturbation: how each training box is jittered, a name in asam.prompts.PERTURBATIONS.
        augment: random flips, turns, scalings and lighting of each training sample.
        objective: "evidence": equation (14) with the terms below, or "published": the loss of the published code, which
            takes none of them.
        ensemble_share: share of the run in which the ensemble weights train; then they stay (the paper's second stage).
        alpha_prompt: weight of the prompt latent's KL term in equation (14).
        alpha_image: weight of the image latent's KL term in equation (14).
        kl_warmup: steps over which both KL weights rise from zero.
        free_nats: nats of each latent dimension that cost nothing ("free bits").
        dice: weight of the dice term.
        focal: weight of the focal term.
        score: weight of the quality head's regression.
        energy: weight of the energy distance of prior samples; 0 leaves it out.
        prior_samples: prior samples an image for the energy distance.
        eval_every: steps between evaluations on the validation split.
        eval_images: most validation images an evaluation looks at; None looks at all.
        patience: evaluations in a row without a lower validation GED after which the run ends; None never ends early.
        save_every: steps between checkpoints to resume from.
        tensorboard: write curves and contact sheets for TensorBoard too.
        cache_embeddings: keep the embeddings of a frozen image encoder on disk; of use without augmentation only.
        workers: loader processes.
        seed: of weights, batches, prompts and latents.
    """

    steps: int = 3000
    batch_size: int = 16
    shuffle: bool = True
    accumulate: int = 1
    mixed_precision: Precision = "no"
    learning_rate: float = 1e-3
    schedule: Schedule = "cosine"
    warmup: int = 100
    weight_decay: float = 0.01
    clip: float | None = 1.0
    ema: float = 0.995
    prompts: PromptMix = field(default_factory=PromptMix)
    box: PromptBox = "smallest"
    perturbation: str = "train"
    augment: bool = True
    objective: Objective = "evidence"
    ensemble_share: float = 1.0
    alpha_prompt: float = 1.0
    alpha_image: float = 1.0
    kl_warmup: int = 0
    free_nats: float = 0.0
    dice: float = 1.0
    focal: float = 0.0
    score: float = 1.0
    energy: float = 1.0
    prior_samples: int = 4
    eval_every: int = 500
    eval_images: int | None = 64
    patience: int | None = None
    save_every: int = 500
    tensorboard: bool = False
    cache_embeddings: bool = False
    workers: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "accumulate", "eval_every", "save_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        for name, most in _MOST.items():
            if getattr(self, name) > most:
                raise ValueError(f"{name}: expected {most} at most, got {getattr(self, name)}")
        for name, value in vars(self).items():
            if isinstance(value, int | float) and not abs(value) <= sys.float_info.max:
                raise ValueError(f"{name}: expected a finite number, got {value}")
        for name in ("alpha_prompt", "alpha_image", "free_nats", "dice", "focal", "score", "energy"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected a number >= 0, got {getattr(self, name)}")
        for name in ("weight_decay", "warmup", "kl_warmup", "seed", "workers"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name}: expected a number >= 0, got {getattr(self, name)}")
        for name in ("learning_rate", "clip"):
            if getattr(self, name) is not None and not getattr(self, name) > 0:
                raise ValueError(f"{name}: expected a positive number, got {getattr(self, name)}")
        for name in ("patience", "eval_images"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1 or None, got {getattr(self, name)}")
        choices = {
            "schedule": get_args(Schedule),
            "mixed_precision": get_args(Precision),
            "box": get_args(PromptBox),
            "perturbation": tuple(sorted(PERTURBATIONS)),
            "objective": get_args(Objective),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(f"{name}: expected one of {list(known)}, got {getattr(self, name)!r}")
        if not 0 <= self.ensemble_share <= 1:
            raise ValueError(f"ensemble_share: expected 0 to 1, got {self.ensemble_share}")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: expected 0 <= ema < 1, got {self.ema}")
        if self.cache_embeddings and self.augment:
            raise ValueError(
                "cache_embeddings: expected augment=False beside it, since no augmented image comes twice"
            )
        if self.energy and self.prior_samples < 2:
            raise ValueError(f"prior_samples: the energy distance needs at least 2, got {self.prior_samples}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values only, ready for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainConfig:
        """Inverse of :meth:`to_dict`; fields that are not there keep their defaults.

        Raises:
            ValueError: a field that does not exist, or a value out of its range; names it.
            TypeError: a value of another type.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"training configuration: expected fields by name, got {type(values).__name__}")
        known = {f.name for f in fields(cls)}
        prompts = values.get("prompts", {})
        if not isinstance(prompts, Mapping):
            raise TypeError(f"prompts: expected shares by kind, got {prompts!r}")
        kinds = {f.name for f in fields(PromptMix)}
        unknown = sorted(set(values) - known) + [f"prompts.{k}" for k in sorted(set(prompts) - kinds)]
        if unknown:
            raise ValueError(
                f"training configuration: expected the fields {sorted(known)}, got also {unknown}"
            )
        _check_types(values, cls())
        _check_types(prompts, PromptMix())
        return cls(**{**values, "prompts": PromptMix(**prompts)})


def _check_types(values: Mapping[str, Any], defaults: Any) -> None:
    """Of plain values, as JSON gives them; None stands where it is a default or a choice."""
    optional = {"patience": 1, "eval_images": 1, "clip": 1.0}
    for name, value in values.items():
        default = getattr(defaults, name)
        if name in optional:
            if value is None:
                continue
            default = optional[name]
        kinds = (int, float) if isinstance(default, float) else type(default)
        plain = isinstance(value, Mapping) if name == "prompts" else isinstance(value, kinds)
        if not plain or isinstance(value, bool) != isinstance(default, bool):
            raise TypeError(f"{name}: expected {type(default).__name__}, got {value!r}")
