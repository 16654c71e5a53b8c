"""A plain SAM checkpoint as it is: no latents, its own masks are the hypotheses.

SAM answers a prompt with three masks of its own, "whole, part, subpart"; here they are hypotheses 0 to 2, and those
after them are its masks for jittered prompts (`asam_trt.jitter`). Or with a single mask, where it is asked for one;
then that is hypothesis 0.
"""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import torch

from asam.model import ASAM, CheckpointError, ModelConfig
from asam.model.backbone import decode
from asam.model.checkpoint import load_sam
from asam.model.config import BACKBONES, PATCH, SAM_SIDE, pixel_fields, start_of
from asam.model.sam_file import known_backbone, read_sam
from asam.model.sampling import model_input, model_space
from asam.model.torch_file import PATCHES, POSITION, TOKENS, read_torch_file
from asam.model.torch_zip import is_torch_file
from asam_trt import Hypotheses
from asam_trt.jitter import DEFAULT, JITTERS, Jitter
from asam_trt.noise import latent_noise
from asam_trt.prompt import Prompt


class PlainSam:
    """Segment Anything's own networks, and its masks as hypotheses.

    Attributes:
        network: holds SAM's modules; its combiners are not used. For a single mask it has SAM's single-mask token as
            token 1, in the place of the first multimask one, and ensemble weights that take that one alone.
        masks: which of SAM's are hypotheses, a key of :data:`asam.model.config.MASKS`.
    """

    def __init__(self, network: ASAM, *, masks: str = "multi") -> None:
        self.network = network.eval()
        self.masks = masks

    @classmethod
    def read(
        cls,
        path: str | PathLike[str],
        *,
        image_size: int | None = None,
        pixels: str | None = None,
        masks: str | None = None,
    ) -> PlainSam:
        """Read an official ``sam_vit_*.pth``, MobileSAM's ``mobile_sam.pt``, LiteMedSAM's ``lite_medsam.pth``, or a
        state dict of the same tensors.

        As weights only.

        Args:
            path: the file.
            image_size: S in pixels, a multiple of 16; None keeps that of the file, 1024 with MobileSAM's and 256 with
                LiteMedSAM's, which do not say it. Position tables are resized.
            pixels: how they are scaled, a key of :data:`asam.model.config.PIXELS`, which no file says: "unit" is for
                MedSAM. None is "sam", and "unit" with LiteMedSAM's.
            masks: "multi" are the three that SAM gives with ``multimask_output=True``, "single" is the one that it
                gives with False, which alone MedSAM was trained for. None is "multi", and "single" with LiteMedSAM's.

        Raises:
            CheckpointError: the file is missing, damaged, or not of a backbone that is known; or it has tensors
                that SAM has not.
            ValueError: an image size that is no multiple of 16, or no such pixels or masks.
        """
        if pixels is not None:
            pixel_fields(pixels)  # refuses what is none
        if masks is not None:
            start_of(masks)
        file = Path(path)
        state = read_sam(file, mapped=True)
        backbone = known_backbone(file, state)
        sizes = BACKBONES[backbone]
        masks = masks or sizes.masks or "multi"
        tokens = state.get(TOKENS)
        if tokens is None or tokens.ndim != 2 or not 2 <= len(tokens) <= 65:
            came = "no such tensor" if tokens is None else f"the shape {tuple(tokens.shape)}"
            raise CheckpointError(f"{file}: expected {TOKENS} of 2 to 65 rows, came {came}")
        if image_size is None:
            image_size = sizes.cell * (state[POSITION].shape[1] if POSITION in state else SAM_SIDE // PATCH)
        config = ModelConfig(
            backbone=backbone,
            image_size=image_size,
            mask_tokens=len(tokens) - 1,
            latents=(),
            posterior=False,
            **pixel_fields(pixels or sizes.pixels or "sam"),
        )
        network = ASAM(config)
        report = load_sam(network, file)
        if report.unused:
            raise CheckpointError(
                f"{file}: expected SAM's tensors and no others, which would be left out; came {report.unused[:5]}"
            )
        if masks == "single":
            _single_first(network)
        return cls(network, masks=masks)

    @torch.no_grad()
    def sample(
        self,
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
        jitter: Jitter = JITTERS[DEFAULT],
    ) -> Hypotheses:
        """The PyTorch reference of a Session with the engine of this checkpoint; arguments as there.

        Args:
            jitter: of the prompts after the first.
        """
        network = self.network
        sizes = network.config.sizes
        noise = latent_noise(n=n, latent=sizes.latent, seed=seed, eps=eps, temperature=temperature)
        pixels, frame = model_input(network, image)
        prompt = Prompt.checked(
            point_coords=point_coords,
            point_labels=point_labels,
            box=box,
            mask_input=mask_input,
            frame=frame,
        )
        embedding = network.embed_image(pixels)
        logits, scores = [], []
        single = self.masks == "single"
        for one in jitter.prompts(prompt, noise, frame, 1 if single else network.config.mask_tokens):
            tokens, dense = network.embed_prompt(1, **model_space(one, frame, pixels.device))
            decoded = decode(network.mask_decoder, embedding + dense, network.position(), tokens)
            if single:
                masks, quality = decoded.weighed(network.ensemble)
            else:
                masks, quality = decoded.masks()[0], decoded.quality[0]
            logits.append(masks)
            scores.append(quality)
        return Hypotheses(
            torch.cat(logits)[:n].float().cpu().numpy(), torch.cat(scores)[:n].float().cpu().numpy(), frame
        )


@torch.no_grad()
def _single_first(network: ASAM) -> None:
    """SAM's single-mask token in place 1, the first of those that form masks, and a mask of that one alone.

    The order of mask tokens does not matter to the decoder; that all of them are there does: they attend to each other,
    so that a decoder with the single-mask token alone would answer otherwise than SAM.
    """
    decoder = network.mask_decoder
    tokens, last = decoder.mask_tokens, decoder.iou_prediction_head.layers[-1]
    for rows in (tokens.weight, last.weight, last.bias):
        rows[:2] = rows[[1, 0]]
    heads = decoder.output_hypernetworks_mlps
    heads[0], heads[1] = heads[1], heads[0]
    network.ensemble.zero_()
    network.ensemble[0] = 1.0


def is_sam(path: Path) -> bool:
    """Whether a file is a state dict with SAM's tensors: read as weights only, and not into memory."""
    if not is_torch_file(path):
        return False
    try:
        found = read_torch_file(path, mapped=True)
    except CheckpointError:
        return False
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        return False
    return TOKENS in found and (POSITION in found or PATCHES in found)
