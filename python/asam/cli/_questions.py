"""Prompts as commands take them, and what answers them."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from asam.cli._coordinates import Box, Points, numbers
from asam.cli._wording import as_typed, counted, options_of
from asam_trt.modes import MAX_GROUPED
from asam_trt.session import Session

Labels = Annotated[tuple[int, ...], arg(help="1 (object) or 0 (background) of each point; by default all 1.")]
Temperature = Annotated[float, arg(help="Factor on the standard deviations of both latents.")]
Window = Annotated[
    tuple[float, float] | None,
    numbers("low", "high"),
    arg(help="Values of the file that are seen as black and as white; images of more than 8 bits need it."),
]
Crop = Annotated[
    int | None,
    arg(
        help="Side in pixels of the square around the box or the points that is seen of a slice; by default all of it. "
        "For engines that were trained on crops, and for what is small in a slice."
    ),
]
Series = Annotated[
    str | None,
    arg(
        help="Which DICOM series of a folder that holds several: its SeriesInstanceUID, or its number in the list that "
        "the error without it prints."
    ),
]
Plane = Annotated[
    Literal["axial", "coronal", "sagittal"] | None,
    arg(
        help="Plane in which slices of a scan are seen; by default axial, or the own plane of a single slice."
    ),
]
ModeCount = Annotated[int | None, arg(help="Number of modes; by default as many as the masks show.")]
Precision = Annotated[
    Literal["auto", "float32", "int16", "int8-encoder", "int8", "bf16", "fp16"],
    arg(
        help="Of the native products. On the CPU: float32, int16 (needs AVX2), int8 (needs AVX-VNNI, AVX512-VNNI or "
        "NEON's dot product), int8-encoder (8 bits in the image encoder, 16 in the sampler), or bf16, which means "
        "int16 there; on a GPU: float32, bf16, fp16. auto is what the engine was built for, else int16 where that is "
        "faster (with AVX2, AVX-VNNI and AVX512-VNNI), and bf16 on a GPU."
    ),
]
Encoder = Annotated[
    Literal["auto", "native", "onnxruntime", "torch"],
    arg(
        help="What encodes images for an engine: on the CPU native or onnxruntime (float32 whatever the precision), "
        "torch on a GPU; auto is the fastest one here."
    ),
]

_MOST_OUTSIDE = 0.1  # share of a box: one that is drawn by hand may go over the edge a little


def labels_of(points: Points, labels: tuple[int, ...]) -> tuple[int, ...]:
    """One label a point: those given, or 1 of each.

    Raises:
        ValueError: not one label a point, or one other than 0 and 1.
    """
    if labels and len(labels) != len(points):
        came = f"{counted(len(labels), 'label')} of {counted(len(points), 'point')}"
        raise ValueError(f"expected --labels with --points, one a point, came {came}")
    if wrong := sorted(set(labels) - {0, 1}):
        raise ValueError(f"expected --labels of 1 (object) or 0 (background), came {wrong}")
    return labels or (1,) * len(points)


def check_counts(n: int, modes: int | None) -> None:
    """Raise ValueError where ``n`` hypotheses cannot be grouped, or not into ``modes``."""
    if not 1 <= n <= MAX_GROUPED:
        raise ValueError(
            f"expected --n from 1 to {MAX_GROUPED} hypotheses, came {n}"
            + ("; draw more in several calls with another --seed each" if n > 0 else "")
        )
    if modes is not None and not 1 <= modes <= n:
        raise ValueError(f"expected --modes from 1 to --n {n}, came {modes}")


def tell_unprompted(*prompts: object) -> None:
    """Say on standard error that nothing was pointed at, where every prompt is None or empty."""
    if not any(prompts):
        print("no --box and no --points: asking about the whole image", file=sys.stderr)


def tell_outside(boxes: Iterable[Box], h: int, w: int) -> None:
    """Say on standard error which boxes lie largely beyond an image of ``h x w`` pixels: meant for another size?"""
    for box in boxes:
        if box is None:
            continue
        x0, y0, x1, y1 = box
        inside = max(0.0, min(x1, w) - max(x0, 0)) * max(0.0, min(y1, h) - max(y0, 0))
        if inside == 0:
            continue  # is refused
        outside = 1 - inside / ((x1 - x0) * (y1 - y0))
        if outside > _MOST_OUTSIDE:
            print(
                f"{outside:.0%} of the box {' '.join(f'{v:g}' for v in box)} lies outside the {w} x {h} (w x h) image: "
                "are these pixels of this image?",
                file=sys.stderr,
            )


def tell_of_file(path: Path, remarks: Iterable[str]) -> None:
    """Say on standard error what is to be known of a file that is read."""
    for remark in remarks:
        print(f"{path}: {remark}", file=sys.stderr)


def typed(remarks: Iterable[str], args: object) -> list[str]:
    """Remarks of the library in the options of a command."""
    return [as_typed(remark, options_of(type(args))) for remark in remarks]


def tell_precision(asked: str, session: Session) -> None:
    """Say on standard error which precision was taken, where it is not the one asked for."""
    if asked not in ("auto", session.precision):
        print(f"--precision {asked}: {session.precision}, {session.precision_reason}", file=sys.stderr)


def remark_on_shares(session: Session) -> str | None:
    """What the shares of modes are where they are no estimates of probabilities; None where they are."""
    if session.engine.preprocessing.jitter is None:
        return None
    return f"{session.engine.readings}: percentages are shares of the hypotheses, not probabilities"
