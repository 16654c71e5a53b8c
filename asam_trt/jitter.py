"""Readings of a model without latents: the same model asked about jittered prompts.

A plain SAM answers a prompt with K masks of its own, at several granularities, or with a single one; any more of them
come from prompts beside it. M masks a prompt (K or 1 of a plain SAM, 1 of an A-SAM whose latents are off): hypothesis i
is mask i mod M of prompt i div M; prompt 0 is the user's own, the others are jittered.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from asam_trt.geometry import Frame
from asam_trt.prompt import Prompt

REFERENCE_SIDE = 128  # shifts are in pixels of an image of this longer side, as in the paper
NUMBERS = 4  # a jittered prompt: scale in x and y, shift in x and y
_MOST_SHIFT = float(REFERENCE_SIDE)
_MOST_SCALE = 1e2


@dataclass(frozen=True)
class Jitter:
    """How far prompts are moved and scaled, uniformly: `asam.prompts.BoxPerturbation`, for points too.

    Attributes:
        scale: (low, high) factor on width and height of a box, drawn for each, about its centre; low + high = 2.
        shift: largest shift of box and points in x and in y, pixels of a 128-pixel image; grows with the longer
            image side.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    shift: float = 5.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not (0 < low <= high <= _MOST_SCALE and abs(low + high - 2) < 1e-6):
            raise ValueError(
                f"expected jitter.scale (low, high) with 0 < low <= 1 and low + high = 2, came {self.scale}"
            )
        if not 0 <= self.shift <= _MOST_SHIFT:
            raise ValueError(f"expected jitter.shift from 0 to {_MOST_SHIFT:g}, came {self.shift}")

    def __str__(self) -> str:
        parts = [f"moved by up to {self.shift:g} pixels of 128"] if self.shift else []
        low, high = self.scale
        parts += [f"scaled by {low:g} to {high:g}"] if high > low else []
        return " and ".join(parts) or "unchanged"

    def prompts(
        self, prompt: Prompt, noise: npt.NDArray[np.float32], frame: Frame, masks: int
    ) -> list[Prompt]:
        """The prompts that n hypotheses are masks of.

        Args:
            prompt: the user's, which comes first.
            noise: normal numbers [n, 2, L], L >= 4; jittered prompt j takes four of noise[j - 1, 0], whose normal
                distribution function is uniform.
            masks: M, of each prompt.

        Raises:
            ValueError: more than M hypotheses of a prompt that has neither box nor points.
        """
        count = math.ceil(len(noise) / masks)
        if count > 1 and prompt.box is None and prompt.point_coords is None:
            raise ValueError(
                f"expected a box or points, or n of at most {masks}, came n {len(noise)}: this model has no latents, "
                f"and {masks} of its masks answer a prompt; more of them need a place that can be moved"
            )
        return [prompt, *(self._moved(prompt, noise[j, 0, :NUMBERS], frame) for j in range(count - 1))]

    def _moved(self, prompt: Prompt, normal: npt.NDArray[np.float32], frame: Frame) -> Prompt:
        uniform = ndtr(normal.astype(np.float64))
        h, w = frame.original
        scale = self.scale[0] + (self.scale[1] - self.scale[0]) * uniform[:2]
        shift = self.shift * max(h, w) / REFERENCE_SIDE * (2 * uniform[2:] - 1)
        changes: dict[str, Any] = {}
        if prompt.box is not None:
            changes["box"] = moved_box(prompt.box, (h, w), scale, shift)
        if prompt.point_coords is not None:
            changes["point_coords"] = np.clip(prompt.point_coords + shift, 0, (w, h))
        return replace(prompt, **changes)


def moved_box(
    box: npt.ArrayLike,
    size: tuple[int, int],
    scale: npt.NDArray[np.float64],
    shift: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """A box scaled about its centre, then shifted; clipped to the image, and at least a pixel wide and high.

    Args:
        box: xyxy in pixels of the image.
        size: (height, width) of the image.
        scale: [2], factors of width and height.
        shift: [2], in x and in y, pixels.

    Returns:
        float64 [4], xyxy.
    """
    low, high = np.asarray(box, np.float64).reshape(2, 2)
    limit = np.array(size[::-1], np.float64)
    half, centre = (high - low) / 2 * scale, (low + high) / 2 + shift
    start = np.clip(centre - half, 0, limit - 1)
    return np.concatenate([start, np.clip(centre + half, start + 1, limit)])


JITTERS: dict[str, Jitter] = {
    "none": Jitter(shift=0.0),
    "shift": Jitter(shift=5.0),
    "scale": Jitter(scale=(0.85, 1.15), shift=0.0),
    "shift+": Jitter(shift=8.0),
    "scale+": Jitter(scale=(0.7, 1.3), shift=0.0),
    "both": Jitter(scale=(0.7, 1.3), shift=8.0),
}
"""Figure 5's families of the paper, by its names; "none" leaves prompts as they are."""

DEFAULT = "shift"
