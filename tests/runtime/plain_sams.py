"""State dicts of segment_anything's own networks, and what its predictor says to a prompt."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn


def small_sam(side: int) -> Sam:
    """SAM's classes in the sizes of the backbone `nano`, with random weights."""
    torch.manual_seed(5)
    grid = side // 16
    encoder = ImageEncoderViT(
        img_size=side,
        embed_dim=64,
        depth=4,
        num_heads=4,
        out_chans=64,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=14,
        global_attn_indexes=(0, 1, 2, 3),
    )
    prompts = PromptEncoder(64, (grid, grid), (side, side), mask_in_chans=16)
    transformer = TwoWayTransformer(depth=2, embedding_dim=64, num_heads=4, mlp_dim=128)
    decoder = MaskDecoder(transformer_dim=64, transformer=transformer, iou_head_hidden_dim=64)
    return _spread(Sam(encoder, prompts, decoder, [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]))


def registry_state() -> dict[str, torch.Tensor]:
    """Tensors of segment_anything's ViT-B at its own size, with random weights."""
    torch.manual_seed(5)
    return dict(_spread(sam_model_registry["vit_b"]()).state_dict())


def _spread(sam: Sam) -> Sam:
    """Random weights give masks that are all alike: larger tokens and heads set them apart."""
    with torch.no_grad():
        for name, value in sam.mask_decoder.named_parameters():
            if "hypernetworks" in name or name.endswith(("q_proj.weight", "k_proj.weight")):
                value.mul_(2.0)
    return sam.eval()


def predicted(
    sam: Sam, image: np.ndarray, *, multimask: bool = True, **prompt: Any
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """SamPredictor's masks bool [M, H, W], low-resolution logits [M, 4e, 4e] and scores [M]; M = 3, or 1 single one."""
    predictor = SamPredictor(sam)
    predictor.set_image(image)
    given = {name: np.asarray(value) for name, value in prompt.items() if value is not None}
    if "mask_input" in given:
        given["mask_input"] = given["mask_input"][None]
    masks, scores, logits = predictor.predict(**given, multimask_output=multimask)
    return masks, logits, scores
