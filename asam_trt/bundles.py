"""Outlines of many masks at once, found in the masks' bits: for pictures at video rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from asam_trt import _ops

# (1, 2, 1) / 4 in x and in y over a line one pixel wide leaves a half on its middle: doubled, it is solid.
_SOFT = np.minimum(np.arange(17) * 32, 255)


def bundles(
    packed: npt.NDArray[np.uint64],
    size: tuple[int, int],
    assignment: npt.NDArray[np.int64],
    region: tuple[int, int, int, int],
    *,
    opacity: float = 1.0,
) -> npt.NDArray[np.uint8]:
    """The outlines of each group of masks as one layer without steps: uint8 [k, y1 - y0, x1 - x0].

    Each outline is one pixel wide: the pixel left of, or above, the change.

    Args:
        packed: masks of ``size`` (h, w) as `Hypotheses.packed` has them.
        assignment: int [n], the group 0 .. k - 1 of each mask.
        region: x0, y0, x1, y1 of what is drawn.
        opacity: 0..1 on a line.
    """
    table = (_SOFT * opacity).astype(np.uint8)
    groups = int(assignment.max(initial=-1)) + 1
    return np.asarray(_ops.outline_layers(packed, size, assignment.astype(np.int64), groups, region, table))
