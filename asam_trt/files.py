"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_MOST_BYTES = 200  # of a target's name within a temporary one; file systems take 255


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends well.

    The block may write a file there, or a folder where none of that name stands yet. On an exception it is
    removed and ``path`` is untouched.

    Raises:
        ValueError: there is something else at ``path`` than a file or a folder, such as a device or a link to itself.
        OSError: the parent folder cannot be made, or ``path`` cannot be replaced.
    """
    target = Path(path)
    _check_no_circle(target)
    if target.is_symlink():
        target = target.resolve()  # the file that a link stands for is replaced, not the link
    if target.exists() and not (target.is_file() or target.is_dir()):
        raise ValueError(f"expected a file or nothing at {target}, came a device, a pipe or a socket")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = beside(target, ".tmp")
    try:
        yield temporary
        if temporary.is_file():
            temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


def beside(target: Path, ending: str) -> Path:
    """A hidden name in the folder of ``target`` that nothing else has, for what takes its place later."""
    return target.with_name(f".{cut(target.name)}.{os.getpid()}-{uuid.uuid4().hex[:8]}{ending}")


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Replace a file by a text in UTF-8; bytes of a file's name that are no text are written as ``\\udcff``."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def cut(name: str) -> str:
    """A file's name, short enough for a longer one to be made of it."""
    return os.fsencode(name)[:_MOST_BYTES].decode(errors="ignore")


def _check_no_circle(path: Path) -> None:
    """Raise ValueError for symbolic links that lead to each other."""
    try:
        path.stat()
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ValueError(
                f"expected a file, a folder or nothing at {path}, came links in a circle; choose another output"
            ) from error


def check_targets(folder: Path, names: Iterable[str], inputs: Iterable[str | os.PathLike[str]] = ()) -> None:
    """Raise ValueError where ``folder``, or a file of these names within it, cannot be made: before the work.

    Args:
        inputs: files and folders that are read, and that the results must not replace or be mixed with.
    """
    targets = [folder / name for name in names]
    for place in (folder, *folder.parents):
        _check_no_circle(place)
        if place.is_symlink() and not place.exists():
            raise ValueError(
                f"expected a folder for the results, came {folder}: {place} is a link to nothing; choose another output"
            )
        if place.exists():
            if not place.is_dir():
                raise ValueError(f"expected a folder for the results, came {folder}: {place} is a file")
            _check_writable(folder, place)
            break
    for target in targets:
        _check_no_circle(target)
        if target.exists() and not target.is_file():
            came = "a folder" if target.is_dir() else "a device, a pipe or a socket"
            raise ValueError(f"expected {target} to be a file or nothing, came {came}; choose another output")
    for source in map(Path, inputs):
        check_apart(targets, source)


def _check_writable(folder: Path, place: Path) -> None:
    """Raise ValueError where nothing can be made in ``place``, the first folder that stands above ``folder``."""
    try:
        # Only trying tells: permissions say little of read-only and special file systems.
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise ValueError(
            f"expected a folder for the results, came {folder}: nothing can be written to {place} "
            f"({error.strerror}); choose another output"
        ) from error


def check_apart(targets: Iterable[Path], source: Path) -> None:
    """Raise ValueError where one of the targets is ``source``, or lies in it."""
    if not source.exists():
        return
    taken = source.resolve()
    for target in targets:
        place = target.resolve()
        if place == taken or taken in place.parents:
            raise ValueError(
                f"expected results apart from what is read, came {target} beside the input {source}; "
                "choose another output"
            )


def _umask() -> int:
    """Permissions that new files of this process do not get."""
    told = _told()
    return _AT_IMPORT if told is None else told


def _told() -> int | None:
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as status:
            return next((int(line.split()[1], 8) for line in status if line.startswith("Umask:")), None)
    except OSError:
        return None


def _asked() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# Where only setting it tells, files that other threads make meanwhile come out with what is set: once, and no later.
_AT_IMPORT = _asked() if (_now := _told()) is None else _now
