"""What the demonstration looks at: a photo that an installed package ships, and a synthetic video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam.data import Sample, SyntheticVideo
from asam_trt.image_files import read_image_file
from asam_trt.pictures import Window

PHOTO_BOX = (56.0, 2.0, 182.0, 68.0)  # around two of the coins, pixels
VIDEO_SEEDS = {"nested": 2, "pair": 2, "fuzzy": 2}
FRAMES = 48  # of each kind


def coins() -> npt.NDArray[np.uint8]:
    """Part of scikit-image's photo of Greek coins, grey uint8 [153, 184] (Brooklyn Museum, no known copyright).

    Raises:
        ValueError: scikit-image is not installed.
    """
    try:
        from skimage import data
    except ImportError as error:
        raise ValueError(
            "the demo's photo comes with scikit-image, which is not installed: pip install scikit-image, or "
            "give a photo of your own with --photo and --box"
        ) from error
    image: npt.NDArray[np.uint8] = data.coins()  # type: ignore[no-untyped-call]
    return image[150:303, 200:384]


def photo(path: Path | None, window: Window | None = None) -> npt.NDArray[Any]:
    """The user's photo, uint8 or float32 [H, W, 3], or part of scikit-image's coins.

    Args:
        window: (low, high) of the file's values, see `asam_trt.window`; more than 8 bits need one.

    Raises:
        ValueError: a file that is no image, or see `asam_trt.image_files.read_image_file`.
    """
    return coins() if path is None else read_image_file(path, window).pixels


def scenes(size: int) -> list[list[Sample]]:
    """One moving scene of each ambiguous kind, a sample a frame."""
    return [
        list(SyntheticVideo(kind, frames=FRAMES, size=size, seed=seed)) for kind, seed in VIDEO_SEEDS.items()
    ]
