"""Combiners that leave SAM's embeddings as they are, for a network that begins with SAM's weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from asam_trt.mask_prompt import SURE

if TYPE_CHECKING:
    from asam.model.network import ASAM

_DEVIATIONS = 4  # of a channel of the image embedding: hardly a value goes further below its mean
_ROOM = 1.25  # beyond what a few masks make of the prompt's dense embedding
_OF_LATENTS = 0.25  # of the size of the image embedding


@torch.no_grad()
def let_through(model: ASAM) -> None:
    """SAM's decoder knows these embeddings; after four layers of random weights it would see next to nothing of them.

    How far the image embedding reaches below zero, its last norm says; of the prompt's dense embedding, which is the
    same in every cell but for masks, masks of nothing, of everything and of neither say it.
    """
    norm = model.image_encoder.neck[3]
    weight, bias = (norm.get_parameter(name).abs() for name in ("weight", "bias"))
    spread = _OF_LATENTS * float(weight.mean())
    model.combiner_image.pass_feature(bias + _DEVIATIONS * weight, spread=spread)

    prompts, side = model.prompt_encoder, 4 * model.config.grid
    masks = torch.stack([weight.new_full((1, side, side), logit) for logit in (-SURE, 0.0, SURE)])
    dense = torch.cat([prompts._embed_masks(masks).flatten(2).amin(2), prompts.no_mask_embed.weight])
    model.combiner_prompt.pass_feature(_ROOM * -dense.amin(0).clamp(max=0), spread=spread)
