"""A mask of the user's image as the model's mask prompt: one that was drawn or corrected by hand, say."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asam_trt import _ops
from asam_trt.geometry import Frame

SURE = 10.0  # logit of a pixel that a mask holds; SAM's own masks reach about as far


def mask_logits(mask: npt.NDArray[np.bool_], frame: Frame) -> npt.NDArray[np.float32]:
    """bool [H, W] -> float32 [4e, 4e], between -SURE and SURE by the share of each pixel; padding is not the object."""
    side, wide = frame.logits_side, frame.side // frame.logits_side
    share = in_model_space(mask, frame).reshape(side, wide, side, wide).mean(axis=(1, 3))
    return np.asarray(SURE * (2 * share - 1), dtype=np.float32)


def in_model_space(mask: npt.NDArray[np.bool_], frame: Frame) -> npt.NDArray[np.float32]:
    """bool [H, W] -> float32 [S, S] of 0 and 1, resized as its image and padded."""
    height, width = frame.input
    if frame.input != frame.original:
        grey = np.repeat(np.where(mask, np.uint8(255), np.uint8(0))[:, :, None], 3, axis=2)
        mask = _ops.resize_image(grey, frame.input)[:, :, 0] > 127
    out = np.zeros((frame.side, frame.side), dtype=np.float32)
    out[:height, :width] = mask
    return out
