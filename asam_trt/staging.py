"""Folders that appear whole: built beside their place, then moved there in one step."""

from __future__ import annotations

import ctypes
import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asam_trt.files import cut

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside ``target``; it replaces ``target`` when the block ends well.

    On an exception it is removed and ``target`` is untouched. What killed processes left behind is removed
    on entry: a folder under construction is locked while its process lives.

    Raises:
        OSError: the parent cannot be written, or the disk is full.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_stale(target)
    folder = target.with_name(f"{_prefix(target)}{os.getpid()}-{uuid.uuid4().hex[:8]}")
    folder.mkdir()
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
        _sync(folder)
        if target.exists():
            _exchange(folder, target)
        else:
            os.rename(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def remove_stale(target: Path) -> None:
    """Remove folders under construction for ``target`` whose process is gone."""
    pattern = re.compile(re.escape(_prefix(target)) + r"(\d+)-[0-9a-f]{8}")
    for entry in target.parent.iterdir():
        match = pattern.fullmatch(entry.name)
        if (
            match
            and entry.is_dir()
            and not entry.is_symlink()
            and not _alive(int(match[1]))
            and _unlocked(entry)
        ):
            shutil.rmtree(entry, ignore_errors=True)


def _prefix(target: Path) -> str:
    return f".{cut(target.name)}.building-"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _unlocked(folder: Path) -> bool:
    # Process numbers mean nothing across containers that share a disk; locks do.
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(handle)


def _sync(folder: Path) -> None:
    """Contents reach the disk before the name does."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _exchange(folder: Path, target: Path) -> None:
    """Swap two folders in one step where the file system can, so that ``target`` always exists."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    names = os.fsencode(folder), os.fsencode(target)
    if renameat2 and renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0:
        return
    shutil.rmtree(target)
    os.rename(folder, target)
