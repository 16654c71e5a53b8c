"""The middle of a sample and the interval around it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def central(values: npt.NDArray[Any], level: float) -> Any:
    """(low, median, high) of values along their first axis; low to high holds the share ``level`` of them.

    Args:
        values: [n, ...].
        level: 0 < level < 1.

    Returns:
        float64 [3, ...].
    """
    return np.quantile(values, [(1 - level) / 2, 0.5, (1 + level) / 2], axis=0)
