"""Prompts drawn as image channels: how a convolutional network is asked."""

from __future__ import annotations

import torch
from torch.nn import functional

from asam.model.prompts import Prompts, covered, discs
from asam_trt.geometry import Frame
from asam_trt.prompt import Prompt

CHANNELS = 4  # box, points on the object, points off it, earlier mask
_RADIUS = 3 / 128  # of a point's disc, image sides


def prompt_channels(prompts: Prompts, side: int) -> torch.Tensor:
    """Prompts in model space -> [B, 4, S, S].

    Channel 0 is the filled box (the share of each pixel that it covers), 1 and 2 are discs around the points on and
    off the object, 3 is an earlier mask in [-1, 1]. What a row does not have is 0.
    """
    points, labels = prompts.points, prompts.labels
    low, high = ((points * (labels == corner)[..., None]).sum(dim=1) for corner in (2, 3))
    across, down = (covered(low[:, axis], high[:, axis], side) for axis in (0, 1))
    box = down[:, :, None] * across[:, None, :]
    on, off = (discs(points, labels == label, side, _RADIUS * side + 0.5) for label in (1, 0))

    earlier = 2 * functional.interpolate(prompts.masks, size=(side, side), mode="bilinear").sigmoid() - 1
    earlier = earlier[:, 0] * prompts.has_mask[:, None, None]
    return torch.stack([box, on, off, earlier], dim=1)


def as_row(prompt: Prompt, frame: Frame, device: torch.device) -> Prompts:
    """A checked prompt in the user's pixels -> one row in model space."""
    points, labels = torch.zeros(0, 2), torch.zeros(0, dtype=torch.long)
    if prompt.point_coords is not None and prompt.point_labels is not None:
        points = torch.from_numpy(frame.to_model_coords(prompt.point_coords))
        labels = torch.from_numpy(prompt.point_labels).long()
    if prompt.box is not None:
        points = torch.cat([points, torch.from_numpy(frame.to_model_boxes(prompt.box)).reshape(2, 2)])
        labels = torch.cat([labels, torch.tensor([2, 3])])
    mask = torch.zeros(1, 1) if prompt.mask_input is None else torch.from_numpy(prompt.mask_input)
    has_mask = torch.tensor([prompt.mask_input is not None])
    row = Prompts(points[None], labels[None], mask[None, None], has_mask)
    return Prompts(*(t.to(device) for t in row))
