"""Prompts of many rows at once, each row of any of SAM's kinds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from segment_anything.modeling import PromptEncoder

from asam_trt.encoder_spec import PATCH
from asam_trt.prompt import DISC, DRAWN

ABSENT = -2  # label of a place in a row that holds no token


class Prompts(NamedTuple):
    """One prompt a row, in model space.

    Attributes:
        points: [B, m, 2]; a row holds its points, then the two corners of its box or, where it has points and no
            box, SAM's padding point.
        labels: int64 [B, m]: SAM's 0 background, 1 object, -1 padding point, 2 and 3 corners of a box;
            :data:`ABSENT` after the last token of a row.
        masks: [B, 1, 4e, 4e], logits of an earlier mask.
        has_mask: bool [B], where ``masks`` counts.
    """

    points: torch.Tensor
    labels: torch.Tensor
    masks: torch.Tensor
    has_mask: torch.Tensor

    def alike(self) -> list[torch.Tensor]:
        """Row numbers, group by group: as many tokens, and a mask or none.

        Rows of one group go through attention together; filling up shorter rows would show the network
        tokens that no prompt has when it is used.
        """
        key = 2 * (self.labels != ABSENT).sum(dim=1) + self.has_mask
        return [(key == value).nonzero().flatten() for value in key.unique()]

    def take(self, rows: torch.Tensor) -> Prompts:
        """Some rows that are alike, without absent places."""
        count = int((self.labels[rows[0]] != ABSENT).sum())
        return Prompts(
            self.points[rows, :count], self.labels[rows, :count], self.masks[rows], self.has_mask[rows]
        )


def tokens_of(encoder: PromptEncoder, prompts: Prompts, *, box_scale: float = 1.0) -> torch.Tensor:
    """Tokens [B, m, C] of rows that are alike, those of SAM's ``PromptEncoder.forward``.

    Args:
        encoder: SAM's.
        prompts: rows that are alike.
        box_scale: factor on the corners of boxes, see :attr:`asam.ModelConfig.box_scale`.
    """
    corner = prompts.labels >= 2
    points = torch.where(corner[..., None], prompts.points * box_scale, prompts.points)
    # Phases of the position code need full precision, whatever the rest of the network computes in.
    with torch.autocast(prompts.points.device.type, enabled=False):
        tokens: torch.Tensor = encoder._embed_points(points, prompts.labels, pad=False)
        for label in (2, 3):
            tokens[prompts.labels == label] += encoder.point_embeddings[label].weight
    return tokens


def drawn(prompts: Prompts, *, cell: int = PATCH) -> Prompts:
    """Prompts without a mask get one: what their points and boxes say, drawn in mask resolution.

    A cell, of ``cell`` pixels, is 4 x 4 pixels of a mask.

    Logits are DRAWN inside the box and -DRAWN outside it, by the share of each pixel that the box covers, 0 without a
    box; then discs of +-DRAWN around the points. A row with neither stays without a mask. In NumPy:
    :func:`asam_trt.prompt.draw_prompt`.
    """
    points, labels = prompts.points * 4 / cell, prompts.labels
    side = prompts.masks.shape[-1]
    low, high = ((points * (labels == corner)[..., None]).sum(dim=1) for corner in (2, 3))
    across, down = (covered(low[:, axis], high[:, axis], side) for axis in (0, 1))
    boxed = (labels == 2).any(dim=1)
    logits = DRAWN * boxed[:, None, None] * (2 * down[:, :, None] * across[:, None, :] - 1)
    for label, logit in ((1, DRAWN), (0, -DRAWN)):
        strength = discs(points, labels == label, side, DISC)
        logits = logits + strength * (logit - logits)
    asked = ((labels >= 0).any(dim=1) & ~prompts.has_mask)[:, None, None, None]
    masks = torch.where(asked, logits[:, None].to(prompts.masks.dtype), prompts.masks)
    return Prompts(prompts.points, labels, masks, prompts.has_mask | asked[:, 0, 0, 0])


def covered(low: torch.Tensor, high: torch.Tensor, side: int) -> torch.Tensor:
    """Intervals [B] -> the share of each of ``side`` unit pixels that lies inside, [B, side]."""
    edge = torch.arange(side, device=low.device)
    return (torch.minimum(edge + 1, high[:, None]) - torch.maximum(edge, low[:, None])).clamp(0, 1)


def discs(points: torch.Tensor, chosen: torch.Tensor, side: int, radius: float) -> torch.Tensor:
    """Discs around the chosen of points [B, m, 2], in pixels: 1 inside, falling to 0 at ``radius``, [B, side, side]."""
    centres = torch.arange(side, device=points.device) + 0.5
    dx = centres - points[:, :, 0, None]
    dy = centres - points[:, :, 1, None]
    distance = torch.hypot(dx[:, :, None, :], dy[:, :, :, None])
    found = (radius - distance).clamp(0, 1) * chosen[..., None, None]
    nothing = found.new_zeros(len(points), 1, side, side)
    return torch.cat([nothing, found], dim=1).amax(dim=1)
