"""The lists of variants that the paper, and the choice of our default, ask about."""

from __future__ import annotations

from typing import Final

from asam.studies.study import Variant

DEFAULT: Final = Variant(name="asam")

NETWORK: Final = (
    DEFAULT,
    Variant(name="no-prompt-latent", model={"latents": ("image",)}),
    Variant(name="no-image-latent", model={"latents": ("prompt",)}),
    Variant(name="no-posterior", model={"posterior": False}),
    Variant(name="no-ambiguity", model={"latents": ()}, judged_as=("prior", "box shift")),
)
"""The paper's ablation of its network: either latent, the posteriors, all of it."""

LOSSES: Final = (
    DEFAULT,
    Variant(name="eq14", training={"dice": 0.0, "energy": 0.0}),
    Variant(name="+dice", training={"energy": 0.0}),
    Variant(name="+energy", training={"dice": 0.0}),
    Variant(name="+focal", training={"focal": 1.0}),
)
"""Equation (14) with the quality head's regression, and what is added to it: dice, energy, both (the default),
both and focal."""

CHOICES: Final = (
    DEFAULT,
    Variant(name="prompt-latent-on-tokens", model={"prompt_latent_on": "tokens and dense"}),
    Variant(name="image-latent-from-pixels", model={"image_prior": "image"}),
    Variant(name="prompts-not-drawn", model={"draws_prompts": False}),
)
"""What paper and code leave open: where the prompt latent acts, and what the image latent's networks see; and whether a
network that starts from nothing has its prompts drawn."""

ABLATIONS: Final = {
    "network": NETWORK,
    "losses": LOSSES,
    "choices": CHOICES,
    "all": (*NETWORK, *LOSSES[1:], *CHOICES[1:]),
}


SAM: Final = (
    Variant(name="sam", model={"latents": ()}, judged_as=("box shift",)),
    Variant(
        name="sam-points",
        model={"latents": ()},
        training={"prompts": {"own": 0.0, "points": 1.0}},
        judged_as=("point shift",),
    ),
)
"""Segment Anything's own network, trained like the others by what it is asked, boxes or points."""


def peers() -> tuple[Variant, ...]:
    """A-SAM, every peer of its own architecture, and Segment Anything."""
    from asam.baselines import BASELINES

    return (DEFAULT, *(Variant(name=name, kind=name) for name in BASELINES), *SAM)
