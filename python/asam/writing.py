"""Files that cannot be written, as on a full disk, are named."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


class NotWritten(OSError):
    """A file could not be written, as on a full disk; what was there before is kept."""


@contextmanager
def named(what: str | Path, way_on: Callable[[], str] = str) -> Iterator[None]:
    """Name the file where a write fails.

    Args:
        what: is written.
        way_on: gives the end of the message.

    Raises:
        NotWritten: for any error of the file system inside the block.
    """
    try:
        yield
    except (OSError, SafetensorError) as error:
        said = f"{what}: expected to write it, got: {error}; make room on the disk. {way_on()}"
        raise NotWritten(said.rstrip(". ")) from error
