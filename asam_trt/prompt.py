"""Prompts, and the tables that turn them into tokens: segment_anything's PromptEncoder in NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

from asam_trt.checks import as_array
from asam_trt.encoder_spec import PATCH
from asam_trt.geometry import Frame, check_box, check_points
from asam_trt.mask_prompt import mask_logits

Array = NDArray[Any]

MAX_MASK_LOGIT = 1e30  # what the layers after it make of larger ones leaves float32
_NORM2D_EPS = 1e-6  # SAM's LayerNorm2d
DRAWN = 4.0  # logit of a place inside a drawn prompt; outside its box it is the negative
DISC = 1.5  # where the disc of a drawn point ends, pixels of the mask; it begins to fade one pixel before


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt on one image.

    Attributes:
        point_coords: float64 [k, 2], x before y, pixels of the user's image; None without points.
        point_labels: int32 [k]: 1 object, 0 background; None without points.
        box: float64 [4], xyxy, pixels of the user's image; None without a box.
        mask_input: float32 [4e, 4e], logits of an earlier mask in model space; None without one.
    """

    point_coords: NDArray[np.float64] | None = None
    point_labels: NDArray[np.int32] | None = None
    box: NDArray[np.float64] | None = None
    mask_input: NDArray[np.float32] | None = None

    @classmethod
    def checked(
        cls,
        *,
        point_coords: ArrayLike | None = None,
        point_labels: ArrayLike | None = None,
        box: ArrayLike | None = None,
        mask_input: ArrayLike | None = None,
        frame: Frame,
        boxes_only: bool = False,
    ) -> Prompt:
        """Check a user's prompt against the image it belongs to.

        Args:
            point_coords: [k, 2], x before y, inside the image.
            point_labels: [k], 1 object, 0 background.
            box: [4], xyxy with x0 < x1 and y0 < y1, overlapping the image.
            mask_input: [4e, 4e] or [1, 4e, 4e] mask logits in model space, or a mask of the image, bool [H, W].
            frame: of the image.
            boxes_only: the model answers one box, and neither points nor masks.

        Raises:
            TypeError: an argument is not numeric.
            ValueError: a wrong shape or label, NaN, mask logits beyond 10^30, a place outside the image, points
                without labels, or a kind of prompt that the model does not know.
        """
        if boxes_only and (box is None or point_coords is not None or mask_input is not None):
            raise ValueError(
                "expected a box and neither points nor a mask: this model was trained on boxes alone"
            )
        if (point_coords is None) != (point_labels is None):
            given = "point_labels" if point_coords is None else "point_coords"
            raise ValueError(f"expected point_coords and point_labels together, came {given} alone")
        points = labels = None
        if point_coords is not None and point_labels is not None:
            points, labels = check_points(point_coords, point_labels, frame)
        return cls(
            points,
            labels,
            None if box is None else check_box(box, frame),
            None if mask_input is None else _checked_mask(mask_input, frame),
        )


def _checked_mask(mask: ArrayLike, frame: Frame) -> NDArray[np.float32]:
    logits = as_array(mask, "mask_input")
    if logits.dtype.kind not in "fb":
        raise TypeError(
            "expected mask_input of floating point (mask logits), or a mask of the image as bool, came dtype "
            f"{logits.dtype}"
        )
    logits = logits[0] if logits.ndim == 3 and len(logits) == 1 else logits
    h, w = frame.original
    if logits.dtype.kind == "b":
        if logits.shape != (h, w):
            raise ValueError(
                f"expected a bool mask_input of the image's size, [{h}, {w}], came shape {list(logits.shape)}"
            )
        return mask_logits(logits, frame)
    side = frame.logits_side
    if logits.shape != (side, side):
        raise ValueError(
            f"expected mask_input [{side}, {side}], logits in model space as in Hypotheses.logits, or a mask of the "
            f"image, bool [{h}, {w}], came {logits.dtype} {list(logits.shape)}"
        )
    if not np.isfinite(logits).all():
        raise ValueError("expected finite mask_input, came NaN or infinity")
    with np.errstate(over="ignore"):
        found = logits.astype(np.float32)
    largest = float(np.abs(found).max())
    if largest > MAX_MASK_LOGIT:
        raise ValueError(
            f"expected mask_input, logits, within +-{MAX_MASK_LOGIT:g}, came values up to "
            f"{np.abs(logits).max():g}; logits of earlier hypotheses are well within it"
        )
    return found


class PromptTables:
    """Prompt encoder of an engine.

    Args:
        weights: the ``prompt.*`` tensors of the sampler file; others are ignored.
        side: S, image side of the model in pixels.
        cell: pixels a side of one cell of the embedding.
        box_scale: factor on boxes in model space.
        draws: points and boxes that come without a mask draw one, see :func:`draw_prompt`.

    Raises:
        ValueError: a tensor is missing or has another shape; the message names it.
    """

    def __init__(
        self,
        weights: Mapping[str, Array],
        *,
        side: int,
        cell: int = PATCH,
        box_scale: float = 1.0,
        draws: bool = False,
    ) -> None:
        channels = _read(weights, "prompt.no_mask", -1).size
        few = len(_read(weights, "prompt.mask_downscaling.0.bias", -1))
        many = len(_read(weights, "prompt.mask_downscaling.3.bias", -1))
        self._side = side
        self._cell = cell
        self._box_scale = box_scale
        self._draws = draws
        self._gaussian = _read(weights, "prompt.gaussian", 2, channels // 2)
        self._points = _read(weights, "prompt.point_embeddings", 4, channels)
        self._not_a_point = _read(weights, "prompt.not_a_point", channels)
        self._no_mask = _read(weights, "prompt.no_mask", channels).astype(np.float32)
        shapes = {
            "0": ((few, 1, 2, 2), (few,)),
            "1": ((few,), (few,)),
            "3": ((many, few, 2, 2), (many,)),
            "4": ((many,), (many,)),
            "6": ((channels, many, 1, 1), (channels,)),
        }
        self._mask = {
            f"{layer}.{part}": _read(weights, f"prompt.mask_downscaling.{layer}.{part}", *shape)
            for layer, both in shapes.items()
            for part, shape in zip(("weight", "bias"), both, strict=True)
        }

    @property
    def channels(self) -> int:
        """C."""
        return len(self._no_mask)

    def encode(self, prompt: Prompt, frame: Frame) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Tokens and dense embedding of a prompt in pixels of the user's image.

        Returns:
            tokens float32 [t, C]; t = 0 without points and box.
            dense float32 [C], or [C, e, e] where there is a mask prompt, given or drawn.
        """
        coords, box = prompt.point_coords, prompt.box
        return self.encode_model_space(
            None if coords is None else frame.to_model_coords(coords),
            prompt.point_labels,
            None if box is None else frame.to_model_boxes(box),
            prompt.mask_input,
        )

    def encode_model_space(
        self,
        point_coords: Array | None = None,
        point_labels: Array | None = None,
        box: Array | None = None,
        mask_input: Array | None = None,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`encode` for coordinates in pixels of the model's S x S input; label -1 marks a padding point."""
        parts: list[Array] = []
        if point_coords is not None and point_labels is not None:
            # SAM pads points with one non-point where no box follows them.
            pad = 1 if box is None else 0
            coords = np.concatenate([point_coords, np.zeros((pad, 2))])
            labels = np.concatenate([point_labels, np.full(pad, -1)])
            parts.append(self._embed_points(coords, labels))
        if box is not None:
            corners = self._box_scale * np.reshape(box, (2, 2))
            parts.append(self._position(corners) + self._points[2:4])
        if mask_input is None and self._draws:
            mask_input = draw_prompt(
                point_coords, point_labels, box, side=4 * self._side // self._cell, cell=self._cell
            )
        tokens = np.concatenate(parts) if parts else np.empty((0, self.channels))
        dense = self._no_mask.copy() if mask_input is None else self._embed_mask(mask_input)
        return tokens.astype(np.float32), dense.astype(np.float32)

    def _position(self, coords: Array) -> Array:
        """Fourier features of pixel centres, [k, 2] -> [k, C]."""
        unit = 2.0 * (coords.astype(np.float64) + 0.5) / self._side - 1.0
        phase = 2.0 * np.pi * (unit @ self._gaussian)
        return np.concatenate([np.sin(phase), np.cos(phase)], axis=-1)

    def _embed_points(self, coords: Array, labels: Array) -> Array:
        tokens = self._position(coords)
        tokens[labels == -1] = self._not_a_point
        tokens[labels == 0] += self._points[0]
        tokens[labels == 1] += self._points[1]
        return tokens

    def _embed_mask(self, mask: Array) -> Array:
        """Two 2x2 stride-2 convolutions with norm and GELU, then a projection: [4e, 4e] -> [C, e, e]."""
        x = self._halve(mask.astype(np.float64)[None], "0")
        x = self._halve(_norm_gelu(x, self._mask["1.weight"], self._mask["1.bias"]), "3")
        x = _norm_gelu(x, self._mask["4.weight"], self._mask["4.bias"])
        weight, bias = self._mask["6.weight"][:, :, 0, 0], self._mask["6.bias"]
        return np.asarray(np.tensordot(weight, x, axes=1) + bias[:, None, None])

    def _halve(self, x: Array, layer: str) -> Array:
        """2x2 convolution of stride 2, [c, h, w] -> [o, h/2, w/2]."""
        c, h, w = x.shape
        blocks = x.reshape(c, h // 2, 2, w // 2, 2)
        weight, bias = self._mask[f"{layer}.weight"], self._mask[f"{layer}.bias"]
        return np.asarray(np.einsum("ocij,chiwj->ohw", weight, blocks) + bias[:, None, None])


def draw_prompt(
    point_coords: Array | None, point_labels: Array | None, box: Array | None, *, side: int, cell: int = PATCH
) -> NDArray[np.float64] | None:
    """What points and a box say, as mask logits [side, side]: one row of :func:`asam.model.prompts.drawn`.

    Args:
        point_coords: [k, 2] in model space; None without points.
        point_labels: [k], 1 object, 0 background; others are not drawn.
        box: [4], xyxy in model space; None without a box.
        side: 4e.
        cell: pixels of model space a side of one cell, which is 4 x 4 pixels of the mask.

    Returns:
        DRAWN inside the box and -DRAWN outside it, by the share of each pixel that it covers, 0 without a box; then
        discs of +-DRAWN around the points. None where there is nothing to draw.
    """
    labels = np.empty(0) if point_labels is None else np.asarray(point_labels)
    if box is None and not (labels >= 0).any():
        return None
    logits = np.zeros((side, side))
    if box is not None:
        x0, y0, x1, y1 = np.asarray(box, np.float64) * 4 / cell
        edge = np.arange(side)
        across, down = (
            np.clip(np.minimum(edge + 1, high) - np.maximum(edge, low), 0, 1)
            for low, high in ((x0, x1), (y0, y1))
        )
        logits = DRAWN * (2 * np.outer(down, across) - 1)
    if point_coords is not None:
        centres = np.arange(side) + 0.5
        for label, logit in ((1, DRAWN), (0, -DRAWN)):
            strength = np.zeros((side, side))
            for x, y in np.asarray(point_coords, np.float64)[labels == label] * 4 / cell:
                distance = np.hypot(*np.meshgrid(centres - x, centres - y))
                strength = np.maximum(strength, np.clip(DISC - distance, 0, 1))
            logits += strength * (logit - logits)
    return logits


def _read(weights: Mapping[str, Array], name: str, *shape: int) -> NDArray[np.float64]:
    """One tensor; -1 accepts any size."""
    if name not in weights:
        raise ValueError(f"weights: expected '{name}' of shape {shape}, found no such tensor")
    found = weights[name].shape
    if len(found) != len(shape) or any(w not in (-1, f) for w, f in zip(shape, found, strict=True)):
        raise ValueError(f"weights: expected '{name}' of shape {shape}, found {found}")
    return weights[name].astype(np.float64)


def _norm_gelu(x: Array, weight: Array, bias: Array) -> Array:
    """LayerNorm over channels of [c, h, w], then exact GELU."""
    centred = x - x.mean(axis=0)
    x = centred / np.sqrt((centred * centred).mean(axis=0) + _NORM2D_EPS)
    x = weight[:, None, None] * x + bias[:, None, None]
    return np.asarray(0.5 * x * (1.0 + erf(x / math.sqrt(2.0))))
