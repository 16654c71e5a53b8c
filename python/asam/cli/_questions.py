"""Prompts as commands take them, and what answers them."""

from __future__ import annotations

import sys
from typing import Annotated

from tyro.conf import arg

from asam.cli._coordinates import Points, numbers
from asam.cli._wording import counted
from asam_trt.modes import MAX_GROUPED
from asam_trt.session import Session

Labels = Annotated[tuple[int, ...], arg(help="1 (object) or 0 (background) of each point; by default all 1.")]
Temperature = Annotated[float, arg(help="Factor on the standard deviations of both latents.")]
Window = Annotated[
    tuple[float, float] | None,
    numbers("low", "high"),
    arg(help="Values of the file that are seen as black and as white; images of more than 8 bits need it."),
]
ModeCount = Annotated[int | None, arg(help="Number of modes; by default as many as the masks show.")]


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


def remark_on_shares(session: Session) -> str | None:
    """What the shares of modes are where they are no estimates of probabilities; None where they are."""
    if session.engine.preprocessing.jitter is None:
        return None
    return f"{session.engine.readings}: percentages are shares of the hypotheses, not probabilities"
