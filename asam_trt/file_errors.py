"""Errors about data files, and where a library's own become one."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["DataError", "check_regular", "damage_told", "missing_package"]


class DataError(ValueError):
    """A data file is missing, damaged or not what it should be.

    Attributes:
        path: the file or folder at fault.
        problem: what was expected and what came.
        remedy: what to do, or the empty string.
    """

    def __init__(self, path: str | Path, problem: str, remedy: str = "") -> None:
        self.path = Path(path)
        self.problem = problem
        self.remedy = remedy
        super().__init__(f"{path}: {problem}" + (f"; {remedy}" if remedy else ""))

    def __reduce__(self) -> tuple[type[DataError], tuple[Path, str, str]]:
        # Raised in worker processes: the default would call __init__ with the joined message alone.
        return (type(self), (self.path, self.problem, self.remedy))


def missing_package(package: str, purpose: str) -> ImportError:
    """The error for a library that only the `data` extra installs."""
    return ImportError(
        f"{purpose} needs the package {package}; install it with: pip install {package}, or all of the extra "
        "`data` with: pip install '.[data]'"
    )


@contextmanager
def damage_told(path: str | Path, problem: str) -> Iterator[None]:
    """DataError in place of what a library raises for a file: damage brings up errors of every type, also its own.

    Args:
        path: the file that is read.
        problem: what is wrong then; the error's words follow in brackets.
    """
    try:
        yield
    except (DataError, ImportError):
        raise
    except Exception as error:
        said = str(error) or type(error).__name__
        raise DataError(path, f"{problem} ({said})", "copy the file again") from error


def check_regular(path: Path) -> None:
    """Raise DataError where there is no file to read: a pipe would be waited for for ever."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise DataError(path, "not found") from error
    except OSError as error:
        raise DataError(path, f"cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise DataError(path, "expected a file, got a folder, a pipe or a device", "replace or remove it")
