from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from asam_trt import rle

Y, X = np.mgrid[:40, :60]

# As pycocotools 2.0.11 writes them.
KNOWN = [
    (np.zeros((3, 4), bool), "<"),
    (np.ones((3, 4), bool), "0<"),
    (np.eye(4, dtype=bool), "01400000"),
    (
        (X - 30) ** 2 + (Y - 18) ** 2 < 15**2,
        "]d0;k04M2M4M2O0O2N2O0O2O00000000000000000001N101N2N101N3L3N3L]b0",
    ),
]


@pytest.mark.parametrize(("mask", "counts"), KNOWN)
def test_strings_are_those_of_pycocotools(mask: np.ndarray, counts: str) -> None:
    assert rle.encode(mask) == {"size": list(mask.shape), "counts": counts}


@settings(max_examples=100, deadline=None)
@given(arrays(np.bool_, st.tuples(st.integers(1, 40), st.integers(1, 40))))
def test_masks_come_back(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(rle.decode(rle.encode(mask)), mask)


def test_every_form_of_pycocotools_is_read() -> None:
    mask, counts = KNOWN[2]
    for form in (counts, counts.encode(), [0, 1, 4, 1, 4, 1, 4, 1]):
        np.testing.assert_array_equal(rle.decode({"size": [4, 4], "counts": form}), mask)
    with pytest.raises(TypeError, match="counts as str, bytes or a list"):
        rle.decode({"size": [4, 4], "counts": 3})


def test_runs_that_do_not_fill_the_mask_are_refused() -> None:
    with pytest.raises(ValueError, match="fill 3 x 3"):
        rle.decode({"size": [3, 3], "counts": "<"})
