"""Prompts as commands take them."""

from __future__ import annotations

import sys


def tell_unprompted(*prompts: object) -> None:
    """Say on standard error that nothing was pointed at, where every prompt is None or empty."""
    if not any(prompts):
        print("no --box and no --points: asking about the whole image", file=sys.stderr)
