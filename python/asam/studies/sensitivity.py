"""How each of a network's masks changes when the box moves by a few pixels: figure 1 of the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from asam.data import Dataset, Sample, spread
from asam.evaluate.intervals import Interval, group_intervals
from asam.evaluate.report import cell, nulls
from asam.metrics.counts import PairCounts, overlap
from asam.model import ASAM
from asam.model.sampling import model_input
from asam.progress import OnSample
from asam.studies.plots import chart
from asam_trt import Hypotheses
from asam_trt.jitter import REFERENCE_SIDE

DIRECTIONS: Final = {"none": (0, 0), "left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
"""Name -> unit step (x, y)."""


class Outputs(Protocol):
    """A network that gives several masks for one box."""

    @property
    def names(self) -> Sequence[str]:
        """Of its outputs."""

    def masks(self, image: Any, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Boxes [m, 4], xyxy in pixels of the image -> bool [outputs, m, H, W]."""


@dataclass(frozen=True)
class AsamOutputs:
    """An A-SAM with both latents at their means: its ensemble, and each mask token's term of the sum (13) by itself.

    The tokens are trained as a sum; one alone need not be a mask that anybody would draw.
    """

    model: ASAM

    @property
    def names(self) -> list[str]:
        """The ensemble first."""
        return ["ensemble", *(f"token {k + 1}" for k in range(self.model.config.mask_tokens))]

    @torch.no_grad()
    def masks(self, image: Any, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """As :class:`Outputs`."""
        model = self.model
        pixels, frame = model_input(model, image)
        corners = torch.from_numpy(frame.to_model_boxes(boxes)).to(pixels.device)
        state = model.encode_image(pixels.expand(len(corners), -1, -1, -1))
        prompt = model.encode_prompt(state, boxes=corners)
        terms = model.decode_tokens(
            state.embedding,
            prompt.tokens,
            prompt.dense,
            prompt.latent.mean[:, None],
            state.latent.mean[:, None],
        )[:, 0]
        several = torch.cat([terms.sum(dim=1, keepdim=True), terms], dim=1).transpose(0, 1)
        return np.stack([_to_masks(logits, frame) for logits in several])


@dataclass(frozen=True)
class SamOutputs:
    """A network of the package segment_anything: its single mask, and its three of rising granularity."""

    sam: Any  # segment_anything.modeling.Sam

    @property
    def names(self) -> list[str]:
        """The single mask first."""
        tokens = int(self.sam.mask_decoder.num_mask_tokens)
        return ["single", *(f"granularity {k}" for k in range(1, tokens))]

    def masks(self, image: Any, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
        """As :class:`Outputs`; the image is uint8 RGB [H, W, 3] or float in [0, 1]."""
        from segment_anything import SamPredictor

        pixels = np.asarray(image)
        if pixels.dtype != np.uint8:
            pixels = np.round(pixels * 255).astype(np.uint8)
        predictor = SamPredictor(self.sam)
        predictor.set_image(pixels)
        found = []
        for box in boxes:
            single, _, _ = predictor.predict(box=box, multimask_output=False)
            several, _, _ = predictor.predict(box=box, multimask_output=True)
            found.append(np.concatenate([single, several]))
        return np.stack(found, axis=1).astype(np.bool_)


@dataclass(frozen=True)
class Sensitivity:
    """What a shift does, averaged over samples; patients drawn with replacement for the intervals.

    Attributes:
        shift: of the box, pixels of a 128-pixel image.
        samples, groups: looked at.
        raters: direction -> output -> (mean IoU with the raters, interval).
        itself: direction -> output -> (IoU with the same output's mask of the unmoved box, interval).
        between: mean IoU between two different outputs for the unmoved box, and its interval.
    """

    shift: float
    samples: int
    groups: int
    raters: dict[str, dict[str, tuple[float, Interval]]]
    itself: dict[str, dict[str, tuple[float, Interval]]]
    between: tuple[float, Interval]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; null for NaN."""
        found: dict[str, Any] = nulls(asdict(self))
        return found


def sensitivity(
    network: Outputs,
    data: Dataset[Sample],
    *,
    shift: float = 5.0,
    seed: int = 0,
    limit: int | None = None,
    on_sample: OnSample | None = None,
) -> Sensitivity:
    """Ask every sample's box unmoved and moved by ``shift`` in four directions.

    Samples whose question is a click are left out: their masks do not answer the box.

    Args:
        shift: pixels of a 128-pixel image; grows with the longer image side.
        seed: of the resampling.
        limit: look at this many samples only, evenly spread.

    Raises:
        ValueError: no sample that is asked by a box.
    """
    chosen = spread(len(data), limit)
    with_raters, with_itself, between, groups = [], [], [], []
    for done, index in enumerate(chosen, start=1):
        sample = data[index]
        if sample.click is None:
            masks = network.masks(sample.image, moved_boxes(sample, shift))
            with_raters.append(_iou_with_raters(masks, sample))
            with_itself.append(_iou_with_unmoved(masks))
            between.append([_iou_between(masks[:, 0])])
            groups.append(sample.group)
        if on_sample is not None:
            on_sample(done, len(chosen))
    if not groups:
        raise ValueError(f"sensitivity: expected samples that are asked by a box, got none of {len(chosen)}")

    def by_direction(tables: list[NDArray[np.float64]]) -> dict[str, dict[str, tuple[float, Interval]]]:
        stack = np.array(tables)  # [samples, directions, outputs]
        return {
            direction: dict(zip(network.names, _means(stack[:, place], groups, seed), strict=True))
            for place, direction in enumerate(DIRECTIONS)
        }

    return Sensitivity(
        shift=shift,
        samples=len(groups),
        groups=len(set(groups)),
        raters=by_direction(with_raters),
        itself=by_direction(with_itself),
        between=_means(np.array(between), groups, seed)[0],
    )


def moved_boxes(sample: Sample, shift: float) -> NDArray[np.float32]:
    """The sample's box moved in each of :data:`DIRECTIONS`, float32 [5, 4]; may reach over the image's edge."""
    reach = shift * max(sample.image.shape[:2]) / REFERENCE_SIDE
    steps = np.array(list(DIRECTIONS.values()), dtype=np.float32) * np.float32(reach)
    return np.asarray(sample.box + np.tile(steps, 2), dtype=np.float32)


def table(found: Mapping[str, Sensitivity]) -> str:
    """Markdown: for each network IoU by direction and output, with the raters and with the unmoved box's mask."""
    parts = []
    for name, one in found.items():
        outputs = list(one.raters["none"])
        for title, values in (
            ("mean IoU with the raters", one.raters),
            ("IoU with the same output's mask of the unmoved box", one.itself),
        ):
            lines = [
                f"{name}: {title}; box moved by {one.shift:g} px of 128",
                "",
                "| moved | " + " | ".join(outputs) + " |",
                "|---" * (len(outputs) + 1) + "|",
            ]
            for direction in DIRECTIONS:
                cells = [cell(*values[direction][output]) for output in outputs]
                lines.append(f"| {direction} | " + " | ".join(cells) + " |")
            parts.append("\n".join(lines))
        parts.append(f"{name}: mean IoU between two of its outputs, box unmoved: {cell(*one.between)}")
    return "\n\n".join(parts)


def plot(one: Sensitivity, title: str) -> Image.Image:
    """IoU with the raters by output, a series a direction."""
    series = {
        direction: [(value, *span) for value, span in of.values()] for direction, of in one.raters.items()
    }
    return chart(list(one.raters["none"]), series, title=title, y_label="IoU with the raters")


def _to_masks(logits: torch.Tensor, frame: Any) -> NDArray[np.bool_]:
    values = logits.float().cpu().numpy()
    return Hypotheses(values, np.ones(len(values), dtype=np.float32), frame).masks


def _iou_with_raters(masks: NDArray[np.bool_], sample: Sample) -> NDArray[np.float64]:
    """[directions, outputs]."""
    outputs, moves = masks.shape[:2]
    flat = masks.reshape(outputs * moves, *masks.shape[2:])
    return (_iou(flat, sample.masks) @ sample.weights.astype(np.float64)).reshape(outputs, moves).T


def _iou_with_unmoved(masks: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[directions, outputs]."""
    return np.stack([_iou(of_output, of_output[:1])[:, 0] for of_output in masks], axis=1)


def _iou_between(masks: NDArray[np.bool_]) -> float:
    """Mean over pairs of different outputs, bool [outputs, H, W]; NaN for one output."""
    rows, columns = np.triu_indices(len(masks), k=1)
    return float(_iou(masks, masks)[rows, columns].mean()) if len(rows) else float("nan")


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> NDArray[np.float64]:
    """IoU of all pairs [n, m]; two empty masks overlap fully."""
    counts = PairCounts.of(a, b)
    return overlap(counts.cross, counts.pred_area, counts.rater_area, empty="one")


def _means(values: NDArray[np.float64], groups: Sequence[str], seed: int) -> list[tuple[float, Interval]]:
    """Mean over samples and its interval, by column of [samples, columns]."""
    spans = group_intervals(values, groups, seed=seed)
    return list(zip(values.mean(axis=0).tolist(), spans, strict=True))
