"""NumPy's files as anybody may hand them over: nothing in them is unpickled, and all that is wrong is a ValueError."""

from __future__ import annotations

import os
import weakref
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from asam_trt.file_errors import DataError


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


def map_npy(path: str | os.PathLike[str]) -> np.memmap[Any, Any]:
    """A single array that stays in its file, read-only.

    Raises:
        ValueError: the file cannot be read, is damaged, or holds objects.
    """
    with _refused():
        return np.lib.format.open_memmap(os.fspath(path), mode="r")


class NpySlices:
    """Entries along the first axis of an array in a .npy, each read when it is called for.

    A file that is cut while it is read ends a process that has it mapped; here it is an error.

    Args:
        path: the file.
        mapped: its array, as `map_npy` gives it, whose first axis varies slowest.
    """

    def __init__(self, path: str | os.PathLike[str], mapped: np.memmap[Any, Any]) -> None:
        self._path = Path(path)
        self._shape, self._dtype, self._first = mapped.shape[1:], mapped.dtype, mapped.offset
        descriptor = os.open(path, os.O_RDONLY)
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    def __call__(self, index: int) -> npt.NDArray[Any]:
        """Entry ``index`` >= 0.

        Raises:
            DataError: the file has become shorter.
        """
        size = int(np.prod(self._shape)) * self._dtype.itemsize
        content = bytearray()
        while len(content) < size:
            place = self._first + index * size + len(content)
            part = os.pread(self._descriptor, size - len(content), place)
            if not part:
                raise DataError(
                    self._path,
                    f"expected a byte {place}, came the end: it was cut while it was read",
                    "copy it again",
                )
            content += part
        return np.frombuffer(content, self._dtype).reshape(self._shape)


@contextmanager
def _refused() -> Iterator[None]:
    """ValueError in place of the dozen unrelated errors of NumPy's header, zipfile and its decompressors."""
    try:
        yield
    except ValueError:
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
