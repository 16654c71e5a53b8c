"""The training loss of the published A-SAM code, quirks included; for the preset ``a2sam``."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from asam import losses
from asam.model.network import ASAM
from asam.training.batches import Batch
from asam.training.config import TrainConfig

_DIVISOR = 5  # the code divides sums over the batch by this, whatever the batch is
_NORM_WEIGHT = 1e-5


def published_objective(
    network: ASAM,
    batch: Batch,
    config: TrainConfig,
    *,
    divergence_weight: float = 1.0,
    embedding: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """CE over the K tokens' maps + dice of image rows + focal + both divergences + weight norms.

    With M_k the mask of token k at S x S, weighed: the cross-entropy takes M_1 .. M_K for the scores of K classes of
    which the mask knows 0 and 1; dice and focal take M = sum_k M_k. Dice is formed in every row of pixels and
    summed over rows and images, focal summed over pixels and images, both then divided by 5. Norms are the plain
    ones, not their squares, of every parameter of the latent networks and of the combiners but for their last layers.

    Padding counts as background, as in the code, whose images are square.

    Args:
        network, batch, divergence_weight, embedding: as :meth:`asam.ASAM.training_loss`; every prompt is a box.
        config: its ``batch_size`` stands for the batch that the sums go over.
    """
    if embedding is None:
        embedding = network.embed_image(batch.images)
    noise = batch.eps[:, None]
    image = network.draw_image(batch.images, embedding, batch.target[:, None], noise[:, :, 1])
    prompts = batch.prompts.take(torch.arange(len(embedding), device=embedding.device))
    prompt = network.draw_prompt(embedding, prompts, batch.target_box, noise[:, :, 0])
    masks = network.decode_tokens(embedding, prompt.tokens, prompt.dense, prompt.latent, image.latent)[:, 0]

    with torch.autocast(batch.images.device.type, enabled=False):
        tokens = losses.upsample(masks.float(), batch.target.shape[-1])
        mask = tokens.sum(dim=1)
        rows = config.batch_size / _DIVISOR
        terms = {
            "ce": functional.cross_entropy(tokens, batch.target.long()),
            "dice": rows * _row_dice(mask, batch.target).mean(),
            "focal": rows
            * losses.focal(mask, batch.target, torch.ones_like(batch.target)).mean()
            * batch.target[0].numel(),
            "kl_prompt": prompt.kl.sum(dim=-1).mean(),
            "kl_image": image.kl.sum(dim=-1).mean(),
            "norms": torch.stack(torch._foreach_norm(list(_decayed(network)))).sum(),
        }
        weights = {"kl_prompt": divergence_weight, "kl_image": divergence_weight, "norms": _NORM_WEIGHT}
        total = torch.stack([weights.get(name, 1.0) * value for name, value in terms.items()]).sum()
    return total, terms


def _row_dice(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """sum over pixel rows of 1 - (2 p t + 1) / (p + t + 1), [B]; logits and target [B, S, S]."""
    probability = logits.sigmoid()
    overlap = 2 * (probability * target).sum(dim=-1)
    total = probability.sum(dim=-1) + target.sum(dim=-1)
    return (1 - (overlap + 1) / (total + 1)).sum(dim=-1)


def _decayed(network: ASAM) -> Iterator[nn.Parameter]:
    for part in (
        network.prompt_prior,
        network.prompt_posterior,
        network.combiner_prompt.layers[:-1],
        network.image_prior,
        network.image_posterior,
        network.combiner_image.layers[:-1],
    ):
        yield from part.parameters()
