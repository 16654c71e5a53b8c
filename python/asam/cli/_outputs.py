"""Names of files that commands write."""

from __future__ import annotations

from pathlib import Path


def check_suffix(option: str, path: Path | None, suffix: str) -> None:
    """Raise ValueError where a file's name has another ending: so that a slip does not write over something else."""
    if path is not None and path.suffix.lower() != suffix:
        raise ValueError(f"{option}: expected a file name that ends in {suffix}, got {path}")
