"""Training losses, one function each.

Masks live at model resolution [B, S, S]; ``valid`` is 1 on the image and 0 on padding, so that padding
teaches nothing. Every function returns one value a row, [B].
"""

from __future__ import annotations

import torch
from torch.nn import functional


def upsample(logits: torch.Tensor, side: int) -> torch.Tensor:
    """Mask logits [..., 4e, 4e] -> [..., S, S], bilinear as SAM resizes its masks."""
    flat = logits.reshape(-1, 1, *logits.shape[-2:])
    resized = functional.interpolate(flat, size=(side, side), mode="bilinear", align_corners=False)
    return resized.reshape(*logits.shape[:-2], side, side)


def cross_entropy(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of the ensemble mask, the first term of equation (14); nats a pixel, mean over pixels.

    Args:
        logits, target, valid: [B, S, S]; target and valid hold 0 and 1.
    """
    loss = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return (loss * valid).sum(dim=(1, 2)) / valid.sum(dim=(1, 2))


def focal(
    logits: torch.Tensor,
    target: torch.Tensor,
    valid: torch.Tensor,
    *,
    alpha: float = 0.25,
    gamma: float = 2.0,
) -> torch.Tensor:
    """-a_t (1 - p_t)^gamma log p_t (Lin et al. 2017), mean over pixels; p_t is the target's probability.

    a_t is ``alpha`` on the object and 1 - ``alpha`` off it. The defaults are those of Lin et al. and of SAM.

    Args:
        logits, target, valid: [B, S, S]; target and valid hold 0 and 1.
    """
    nats = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    balance = alpha * target + (1 - alpha) * (1 - target)
    loss = balance * (1 - torch.exp(-nats)) ** gamma * nats
    return (loss * valid).sum(dim=(1, 2)) / valid.sum(dim=(1, 2))


def free_bits(kl: torch.Tensor, floor: float) -> torch.Tensor:
    """sum_j max(floor, KL_j), Kingma et al. 2016: a dimension that says less than ``floor`` is not pushed to silence.

    The maximum is taken row by row, not of the batch's mean, so that the loss of a batch stays the mean of its rows.

    Args:
        kl: [B, L], nats of each latent dimension.
        floor: nats; 0 gives the plain divergence.
    """
    return kl.clamp(min=floor).sum(dim=-1)


def dice(logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """1 - (2 |p t| + 1) / (|p| + |t| + 1) with p = sigmoid(logits) (Milletari et al. 2016), smoothed by one pixel.

    Args:
        logits, target, valid: [B, S, S].
    """
    probability = logits.sigmoid() * valid
    overlap = (probability * target).sum(dim=(1, 2))
    total = probability.sum(dim=(1, 2)) + (target * valid).sum(dim=(1, 2))
    return 1 - (2 * overlap + 1) / (total + 1)


def score_regression(
    scores: torch.Tensor, logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """Squared error of the predicted quality against the true IoU of the thresholded mask, as SAM trains it.

    Args:
        scores: [B].
        logits, target, valid: [B, S, S]; two masks that are empty on the image have IoU 1.
    """
    with torch.no_grad():
        inside = valid > 0.5
        predicted, wanted = (logits > 0) & inside, (target > 0.5) & inside
        overlap = (predicted & wanted).sum(dim=(1, 2))
        union = (predicted | wanted).sum(dim=(1, 2))
        iou = torch.where(union > 0, overlap / union.clamp(min=1), torch.ones_like(scores))
    return (scores - iou).square()


def energy_distance(
    logits: torch.Tensor, raters: torch.Tensor, weights: torch.Tensor, valid: torch.Tensor
) -> torch.Tensor:
    """The generalised energy distance on soft masks of n >= 2 prior samples, without its constant term.

    2 E d(S, Y) - E d(S, S') with d = 1 - soft IoU; the second mean leaves out i = j, so that the estimate is
    unbiased and the score proper (Szekely and Rizzo 2013; Gneiting and Raftery 2007).

    Args:
        logits: [B, n, h, w], samples of the prior.
        raters: [B, R, h, w] in [0, 1].
        weights: [B, R], rater weights that sum to 1.
        valid: [B, h, w].
    """
    n = logits.shape[1]
    if n < 2:
        raise ValueError(f"energy_distance: expected at least 2 samples a row, got {n}")
    samples = (logits.sigmoid() * valid[:, None]).flatten(2)
    truth = (raters * valid[:, None]).flatten(2)
    to_raters = (_soft_distance(samples, truth).mean(dim=1) * weights).sum(dim=1)
    among = _soft_distance(samples, samples)
    between = among.sum(dim=(1, 2)) - among.diagonal(dim1=1, dim2=2).sum(dim=1)
    return 2 * to_raters - between / (n * (n - 1))


def _soft_distance(a: torch.Tensor, b: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """1 - soft IoU of every pair: [B, n, p] and [B, m, p] -> [B, n, m]; ``smooth`` makes two empty masks agree."""
    overlap = a @ b.transpose(1, 2)
    total = a.sum(dim=2)[:, :, None] + b.sum(dim=2)[:, None, :]
    return 1 - (overlap + smooth) / (total - overlap + smooth)
