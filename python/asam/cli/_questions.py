"""Prompts as commands take them, and what answers them."""

from __future__ import annotations

import sys

from asam_trt.session import Session


def tell_unprompted(*prompts: object) -> None:
    """Say on standard error that nothing was pointed at, where every prompt is None or empty."""
    if not any(prompts):
        print("no --box and no --points: asking about the whole image", file=sys.stderr)


def remark_on_shares(session: Session) -> str | None:
    """What the shares of modes are where they are no estimates of probabilities; None where they are."""
    if session.engine.preprocessing.jitter is None:
        return None
    return f"{session.engine.readings}: percentages are shares of the hypotheses, not probabilities"
