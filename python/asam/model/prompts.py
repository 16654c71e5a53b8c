"""Prompts of many rows at once, each row of any of SAM's kinds."""

from __future__ import annotations

from typing import NamedTuple

import torch
from segment_anything.modeling import PromptEncoder

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
