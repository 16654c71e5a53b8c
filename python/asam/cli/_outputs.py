"""Names of files and folders that commands write."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from asam_trt.files import check_targets

# The last two are SPLIT and STARTS of asam_trt.bundle, which would bring NumPy to `asam --help`.
_OF_A_RUN = (
    "config.json",
    "log.jsonl",
    "states",
    "tensorboard",
    "embeddings",
    "split.json",
    "split-start.json",
)
_made: list[Path] = []  # by `numbered` in this command, the innermost first


def check_suffix(option: str, path: Path | None, suffix: str) -> None:
    """Raise ValueError where a file's name has another ending: so that a slip does not write over something else."""
    if path is not None and path.suffix.lower() != suffix:
        raise ValueError(f"{option}: expected a file name that ends in {suffix}, got {path}")


def numbered(folder: Path) -> Path:
    """Make ``folder``, or where something is there ``folder-2``, ``folder-3`` ...: no call replaces another's results.

    Made before the work, so that a call at the same time takes another; see `unused_removed`.

    Raises:
        ValueError: nothing can be made there.
    """
    check_targets(folder.parent, ())
    new = [parent for parent in folder.parents if not parent.exists()]
    names = itertools.chain([folder.name], (f"{folder.name}-{i}" for i in itertools.count(2)))
    made = next(path for path in map(folder.with_name, names) if _make(path))
    _made[:0] = [made, *new]
    return made


def _make(path: Path) -> bool:
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        return False
    return True


@contextmanager
def unused_removed() -> Iterator[None]:
    """At the end, also after an error or an interrupt, remove the folders of `numbered` that are empty."""
    try:
        yield
    finally:
        for folder in _made:
            with suppress(OSError):  # something is in it
                folder.rmdir()
        _made.clear()


def earlier_run(folder: Path, names: Iterable[str], mark: str) -> bool:
    """Whether ``folder`` has results of an earlier run, which these replace.

    Args:
        names: of the results.
        mark: the one of them that every run writes, and by which an earlier one is known.

    Raises:
        ValueError: files of these names without the mark: they are somebody's own.
    """
    taken = [name for name in names if (folder / name).exists()]
    if taken and mark not in taken:
        raise ValueError(
            f"expected a folder without {', '.join(taken)}, or one with {mark} too, of an earlier run that is "
            f"replaced; came {folder}: choose another output"
        )
    return bool(taken)


def tell_replaced(folder: Path) -> None:
    """Say on standard error that what was in ``folder`` is gone."""
    print(f"replaced the results of an earlier run in {folder}", file=sys.stderr)


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
