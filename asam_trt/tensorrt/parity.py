"""Whether plans say what the CPU says: the same masks for the same noise, as far apart from each other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from asam_trt.errors import EngineError
from asam_trt.geometry import resize_image
from asam_trt.noise import latent_noise, most_hypotheses
from asam_trt.paired_iou import mean_iou
from asam_trt.parity_picture import parity_picture
from asam_trt.prompt import Prompt

if TYPE_CHECKING:
    from asam_trt.backends import Backend
    from asam_trt.bundle import EngineBundle

Float32Array = npt.NDArray[np.float32]

HYPOTHESES = 32
# Least mean IoU of a hypothesis with the CPU's, and largest difference of the mean distance between hypotheses.
LEAST_IOU = {"float32": 0.995, "fp16": 0.97, "bf16": 0.95}
MOST_SPREAD = {"float32": 0.005, "fp16": 0.02, "bf16": 0.03}


def draw(backend: Backend, bundle: EngineBundle, weights: dict[str, Float32Array]) -> Float32Array:
    """Logits [32, 4e, 4e] of a fixed picture, box and seed."""
    settings, sizes = bundle.preprocessing, bundle.sampler
    image, box = parity_picture()
    pixels, frame = resize_image(image, settings.side, settings.mean, settings.std, cell=sizes.cell)
    tables = bundle.prompt_tables(weights)
    prompt = Prompt.checked(box=box, frame=frame, boxes_only=settings.boxes_only)
    noise = latent_noise(
        n=HYPOTHESES,
        latent=sizes.latent,
        seed=0,
        eps=None,
        temperature=1.0,
        latents="iid",
        most=most_hypotheses(sizes.logits_side, 1),
    )
    state = backend.encode(pixels)
    logits, _ = backend.sample(state, backend.prompt(state, *tables.encode(prompt, frame)), noise)
    return logits


def judge(expected: Float32Array, found: Float32Array, precision: str) -> dict[str, float]:
    """Compare logits [n, h, w] of the same noise.

    Returns:
        ``iou``, the mean of a hypothesis with its counterpart; ``spread`` and ``expected_spread``, the mean distance
        1 - IoU of two different hypotheses.

    Raises:
        EngineError: they differ by more than the precision accounts for.
    """
    wanted, came = expected > 0, found > 0
    finite = bool(np.isfinite(found).all())
    iou = mean_iou(wanted, came)
    figures = {"iou": iou, "spread": spread(came), "expected_spread": spread(wanted)}
    apart = abs(figures["spread"] - figures["expected_spread"])
    least, most = LEAST_IOU[precision], MOST_SPREAD[precision]
    if not finite or iou < least or apart > most:
        raise EngineError(
            f"TensorRT in {precision}: expected masks with a mean IoU of at least {least} with the CPU's and a spread "
            f"within {most} of its {figures['expected_spread']:.4f}, came {iou:.4f} and {figures['spread']:.4f}"
            f"{'' if finite else ' and NaN or infinity'}; the plans were not kept: use another precision"
        )
    return figures


def spread(masks: npt.NDArray[np.bool_]) -> float:
    """Mean of 1 - IoU over pairs of different masks [n, h, w]; 0 for one mask."""
    flat = masks.reshape(len(masks), -1).astype(np.float32)
    both = flat @ flat.T
    area = flat.sum(axis=1)
    either = area[:, None] + area[None, :] - both
    iou = np.divide(both, either, out=np.ones_like(both), where=either > 0)
    pairs = ~np.eye(len(masks), dtype=bool)
    return float((1 - iou)[pairs].mean()) if len(masks) > 1 else 0.0
