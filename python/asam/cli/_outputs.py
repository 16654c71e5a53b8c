"""Names of files and folders that commands write."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path

from asam_trt.files import check_targets

_OF_A_RUN = ("config.json", "log.jsonl", "states", "tensorboard", "embeddings")


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


def check_outputs(targets: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Raise ValueError where a file cannot be made, or would replace what is read or lie in it: before the work.

    Args:
        targets: files to be written.
        inputs: files and folders that are read. None in either stands for an option that was not given.
    """
    read = [path for path in inputs if path is not None]
    for target in targets:
        if target is not None:
            check_targets(target.parent, (target.name,), read)


def files_of_model(path: Path) -> list[Path]:
    """What results must not be written over: an engine's folder, or a checkpoint and the files of its run."""
    return [path] if path.is_dir() else [path, *(path.parent / name for name in _OF_A_RUN)]
