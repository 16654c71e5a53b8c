"""The training objective: equation (14) and the terms that may be added to it."""

from __future__ import annotations

import torch

from asam import losses
from asam.model.network import ASAM, TrainingOutput
from asam.training.batches import Batch
from asam.training.config import TrainConfig


def objective(
    network: ASAM,
    batch: Batch,
    config: TrainConfig,
    *,
    divergence_weight: float = 1.0,
    embedding: torch.Tensor | None = None,
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Total loss and its parts, each averaged over the batch; arguments as :meth:`asam.ASAM.training_loss`."""
    output = network(
        batch.images,
        batch.prompts,
        batch.target[:, None],
        batch.eps,
        batch.prior_eps if config.energy else None,
        embedding,
        batch.target_box,
    )
    # Losses in float32, whatever the network computed in.
    with torch.autocast(batch.images.device.type, enabled=False):
        return evidence_bound(
            TrainingOutput(*(t.float() for t in output)), batch, config, divergence_weight=divergence_weight
        )


def evidence_bound(
    output: TrainingOutput, batch: Batch, config: TrainConfig, *, divergence_weight: float = 1.0
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Equation (14) and the terms that may be added to it, of what the network gave.

    The cross-entropy is summed over the (4e)^2 logits of a mask: that is what makes it, with the two KL terms
    at weight 1, the evidence lower bound. Every part is a mean over rows, so that the parts of a batch, on one
    process or several, average to the whole.

    Args:
        divergence_weight: factor on both KL terms, for their warm-up.
    """
    size = output.logits.shape[-1]
    cells = size**2
    posterior = losses.upsample(output.logits[:, 0], batch.target.shape[-1])
    kl_prompt, kl_image = output.kl_prompt, output.kl_image
    terms = {
        "ce": losses.cross_entropy(posterior, batch.target, batch.valid) * cells,
        "kl_prompt": kl_prompt.sum(dim=-1),
        "kl_image": kl_image.sum(dim=-1),
        "dice": losses.dice(posterior, batch.target, batch.valid),
        "score": losses.score_regression(output.scores[:, 0], posterior, batch.target, batch.valid),
    }
    weights = {
        "ce": 1.0,
        "kl_prompt": config.alpha_prompt * divergence_weight,
        "kl_image": config.alpha_image * divergence_weight,
        "dice": config.dice * cells**0.5,
        "score": config.score,
    }
    if config.focal:
        terms["focal"] = losses.focal(posterior, batch.target, batch.valid) * cells
        weights["focal"] = config.focal
    if config.energy:
        terms["energy"] = losses.energy_distance(
            output.logits[:, 1:], _pool(batch.raters, size), batch.weights, _pool(batch.valid, size)
        )
        weights["energy"] = config.energy * cells**0.5
    # The record shows the divergences themselves; the loss charges what exceeds the free part.
    charged = dict(terms)
    if config.free_nats:
        charged["kl_prompt"] = losses.free_bits(kl_prompt, config.free_nats)
        charged["kl_image"] = losses.free_bits(kl_image, config.free_nats)
    total = torch.stack([weights[name] * value.mean() for name, value in charged.items()]).sum()
    return total, {name: value.mean() for name, value in terms.items()}


def _pool(masks: torch.Tensor, size: int) -> torch.Tensor:
    """[B, ..., S, S] -> [B, ..., size, size], the share of each cell that is covered."""
    flat = masks.reshape(-1, 1, *masks.shape[-2:])
    pooled = torch.nn.functional.adaptive_avg_pool2d(flat, size)
    return pooled.reshape(*masks.shape[:-2], size, size)
