"""NumPy's files as anybody may hand them over: nothing in them is unpickled, and all that is wrong is a ValueError."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt


def read_npz(
    path: str | os.PathLike[str], names: Collection[str], optional: Collection[str] = ()
) -> dict[str, npt.NDArray[Any]]:
    """The arrays of these names in an archive, and of the optional ones those that are there.

    Raises:
        OSError: the file cannot be opened.
        ValueError: what came instead, without the file's name: no archive, a damaged one, one that lacks an array, or
            objects.
    """
    with open(path, "rb") as file, _refused():
        if file.read(2) not in (b"PK", b"\x93N"):  # of an archive and of a single array
            raise ValueError("a file of another kind, no archive of arrays")
        file.seek(0)
        found = np.load(file, allow_pickle=False)
        if not isinstance(found, np.lib.npyio.NpzFile):
            raise ValueError("a single array, no archive")
        with found as archive:
            if missing := [name for name in names if name not in archive]:
                held = ", ".join(archive.files) or "nothing"
                raise ValueError(f"no array {', '.join(missing)}, only {held}")
            arrays = {name: archive[name] for name in (*names, *(set(optional) & set(archive.files)))}
        for name, array in arrays.items():
            if not isinstance(array, np.ndarray):  # the bytes of a member that is none
                raise ValueError(f"no array under the name {name}, only {len(array)} bytes")
        return arrays


def map_npy(path: str | os.PathLike[str]) -> npt.NDArray[Any]:
    """A single array that stays in its file, read-only.

    Raises:
        ValueError: the file cannot be read, is damaged, or holds objects.
    """
    with _refused():
        return np.lib.format.open_memmap(os.fspath(path), mode="r")


@contextmanager
def _refused() -> Iterator[None]:
    """ValueError in place of the dozen unrelated errors of NumPy's header, zipfile and its decompressors."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
