"""Sampling with PyTorch: the reference that every engine is held against."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from asam.model.network import ASAM, ImageState
from asam_trt import Hypotheses
from asam_trt.geometry import Frame, resize_image
from asam_trt.noise import latent_noise
from asam_trt.prompt import Prompt

_BLOCK = 64  # hypotheses decoded at once, which bounds the memory of a large n


def model_input(model: ASAM, image: Any) -> tuple[torch.Tensor, Frame]:
    """An image in the user's pixels -> [1, 3, S, S] on the model's device, and its place in model space."""
    config = model.config
    pixels, frame = resize_image(
        image, config.image_size, config.pixel_mean, config.pixel_std, cell=config.cell
    )
    return torch.from_numpy(pixels)[None].to(model.ensemble.device), frame


@torch.no_grad()
def sample(
    model: ASAM,
    image: Any,
    *,
    box: Any = None,
    point_coords: Any = None,
    point_labels: Any = None,
    mask_input: Any = None,
    n: int = 32,
    seed: int = 0,
    eps: Any = None,
    temperature: float = 1.0,
) -> Hypotheses:
    """Draw n hypotheses of one prompt; arguments and errors as :meth:`asam.ASAM.sample`."""
    noise = latent_noise(n=n, latent=model.config.sizes.latent, seed=seed, eps=eps, temperature=temperature)
    pixels, frame = model_input(model, image)
    prompt = Prompt.checked(
        point_coords=point_coords,
        point_labels=point_labels,
        box=box,
        mask_input=mask_input,
        frame=frame,
        boxes_only=model.config.boxes_only,
    )
    state = model.encode_image(pixels)
    prompted = model.encode_prompt(state, **model_space(prompt, frame, pixels.device))
    draws = torch.from_numpy(noise).to(pixels.device)

    logits, scores = [], []
    for block in draws.split(_BLOCK):
        latent_prompt = prompted.latent.sample(block[None, :, 0])
        latent_image = state.latent.sample(block[None, :, 1])
        some_logits, some_scores = model.decode(
            state.embedding, prompted.tokens, prompted.dense, latent_prompt, latent_image
        )
        logits.append(some_logits[0])
        scores.append(some_scores[0])
    return Hypotheses(torch.cat(logits).float().cpu().numpy(), torch.cat(scores).float().cpu().numpy(), frame)


@torch.no_grad()
def mean_masks(model: ASAM, image: Any, places: Any) -> Hypotheses:
    """The masks of several boxes or points on one image, both latents at their prior means.

    Args:
        image: as :func:`sample` takes it.
        places: float [m, 4], boxes xyxy, or [m, 2], points on the object; in pixels of the image.

    Returns:
        One hypothesis a box or point.
    """
    pixels, frame = model_input(model, image)
    corners = torch.from_numpy(frame.to_model_coords(np.reshape(places, (len(places), -1, 2)))).to(
        pixels.device
    )
    one = model.encode_image(pixels)
    rows = len(corners)
    state = ImageState(
        one.embedding.expand(rows, -1, -1, -1), type(one.latent)(*(t.expand(rows, -1) for t in one.latent))
    )
    points = None if corners.shape[1] == 2 else (corners, torch.ones(rows, 1, device=corners.device))
    prompt = model.encode_prompt(state, points=points, boxes=corners.flatten(1) if points is None else None)
    logits, scores = model.decode(
        state.embedding, prompt.tokens, prompt.dense, prompt.latent.mean[:, None], state.latent.mean[:, None]
    )
    return Hypotheses(logits[:, 0].float().cpu().numpy(), scores[:, 0].float().cpu().numpy(), frame)


def model_space(prompt: Prompt, frame: Frame, device: torch.device) -> dict[str, Any]:
    """The prompt as SAM's PromptEncoder takes it: one row, model-space coordinates."""
    arguments: dict[str, Any] = {}
    if prompt.point_coords is not None and prompt.point_labels is not None:
        coords = torch.from_numpy(frame.to_model_coords(prompt.point_coords))[None].to(device)
        labels = torch.from_numpy(prompt.point_labels)[None].to(device)
        arguments["points"] = (coords, labels)
    if prompt.box is not None:
        arguments["boxes"] = torch.from_numpy(frame.to_model_boxes(prompt.box))[None].to(device)
    if prompt.mask_input is not None:
        arguments["masks"] = torch.from_numpy(prompt.mask_input)[None, None].to(device)
    return arguments
