"""Names of files and folders that commands write."""

from __future__ import annotations

import itertools
from pathlib import Path


def check_suffix(option: str, path: Path | None, suffix: str) -> None:
    """Raise ValueError where a file's name has another ending: so that a slip does not write over something else."""
    if path is not None and path.suffix.lower() != suffix:
        raise ValueError(f"{option}: expected a file name that ends in {suffix}, got {path}")


def numbered(folder: Path) -> Path:
    """``folder`` where nothing is there, else ``folder-2``, ``folder-3`` ...: no call replaces another's results."""
    names = itertools.chain([folder.name], (f"{folder.name}-{i}" for i in itertools.count(2)))
    return next(path for path in map(folder.with_name, names) if not path.exists() or _is_empty(path))


def _is_empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())
