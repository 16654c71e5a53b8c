"""One run a folder at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_NAME = ".lock"
_held: set[TextIO] = set()


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Hold a folder for one run; the system lets go of it however the process ends.

    Raises:
        ValueError: another process is writing a run there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _NAME).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"{folder}: another process is training there now; wait for it, or choose another output folder"
            ) from error
        _held.add(file)
        try:
            yield
        finally:
            _held.discard(file)


def _let_go() -> None:
    """A forked process shares its parent's lock: a loader process that outlived the run would hold it on."""
    for file in _held:
        file.close()
    _held.clear()


os.register_at_fork(after_in_child=_let_go)
