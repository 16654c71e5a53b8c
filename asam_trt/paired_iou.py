"""How far masks agree with their counterparts, one by one."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def mean_iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    """Mean IoU of masks [n, H, W] with masks [n, H, W], pair by pair; two empty ones agree."""
    common = np.count_nonzero(a & b, axis=(1, 2))
    either = np.count_nonzero(a | b, axis=(1, 2))
    return float(np.where(either == 0, 1.0, common / np.maximum(either, 1)).mean())
