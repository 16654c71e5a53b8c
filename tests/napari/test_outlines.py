"""Outlines against SciPy's erosion."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_erosion

from asam_trt.napari.outlines import outlines


@pytest.mark.parametrize("width", [1, 2, 5])
def test_outlines(width: int) -> None:
    y, x = np.ogrid[:40, :60]
    large = ((y - 15) ** 2 + (x - 25) ** 2 < 20**2) & (
        (y - 20) ** 2 + (x - 25) ** 2 > 3**2
    )  # cut by the edge
    small = (y - 15) ** 2 + (x - 40) ** 2 < 9**2
    lines = [mask & ~binary_erosion(mask, iterations=width) for mask in (small, large)]
    expected = np.where(lines[0], 1, np.where(lines[1], 2, 0))
    assert (lines[0] & lines[1]).any()
    assert np.array_equal(outlines([small, large], width), expected)


def test_no_mask_has_no_outline() -> None:
    assert not outlines([np.zeros((4, 5), bool)], 1).any()
