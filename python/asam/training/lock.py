"""One run a folder at a time."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NAME = ".lock"


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
        yield
