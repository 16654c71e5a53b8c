"""LIDC-IDRI crops as HDF5 (PHiSeg): groups train, val, test; images (minus 0.5), labels [N, H, W, 4]."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asam.data.errors import DataError, damage_told, missing_package
from asam.data.files import FileDataset, check_regular
from asam.data.sample import Sample

__all__ = ["LidcPhiSeg"]

_GROUPS = {"train": ("train",), "validate": ("val",), "test": ("test",), "all": ("train", "val", "test")}
_EXPECTED = "an .hdf5 file with the groups train, val and test"


@dataclass(frozen=True)
class _Row:
    id: str
    group: str
    part: str
    row: int


class LidcPhiSeg(FileDataset[_Row]):
    """The slices of one split, grouped by uid; each is read from the file when it is asked for.

    Args:
        root: the .hdf5 file, or the folder that holds it.
        split: "train", "validate", "test" or "all".
        report: see `FileDataset`.

    Raises:
        ImportError: h5py is not installed.
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "validate", "test", "all"] = "train",
        *,
        report: list[DataError] | None = None,
    ) -> None:
        if split not in _GROUPS:
            raise ValueError(f"split: expected one of {', '.join(_GROUPS)}, got {split!r}")
        files = _files(Path(root))
        entries: list[_Row] = []
        problems: list[DataError] = []
        self._path = files[0] if files else Path(root)
        self._open: tuple[int, Any] | None = None
        if len(files) > 1:
            problems.append(
                DataError(root, f"holds {len(files)} HDF5 files, expected one", "give the file itself")
            )
        elif files:
            try:
                with damage_told(self._path, "truncated, damaged or not HDF5"):
                    entries = self._index(_GROUPS[split], problems)
            except DataError as error:
                problems.append(error)
            self._close()
        super().__init__(Path(root), entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return bool(_files(root))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None}

    def _file(self) -> Any:
        # HDF5 handles do not survive a fork: every process opens its own.
        if self._open is None or self._open[0] != os.getpid():
            check_regular(self._path)
            try:
                import h5py
            except ImportError as error:
                raise missing_package("h5py", "reading HDF5") from error
            self._open = (os.getpid(), h5py.File(self._path, "r"))
        return self._open[1]

    def _close(self) -> None:
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _index(self, parts: tuple[str, ...], problems: list[DataError]) -> list[_Row]:
        file = self._file()
        entries = []
        for part in parts:
            problem = _wrong(file, part)
            if problem:
                problems.append(DataError(self._path, f"group {part}: {problem}"))
                continue
            for row, uid in enumerate(file[part]["uids"][:].reshape(-1).tolist()):
                name = uid.decode() if isinstance(uid, bytes) else str(uid)
                entries.append(_Row(f"{part}-{row:05d}", name, part, row))
        return entries

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        where = f"{entry.part} row {entry.row}"
        with damage_told(self._path, f"{where} cannot be read"), np.errstate(over="ignore", invalid="ignore"):
            part = self._file()[entry.part]
            image = part["images"][entry.row].astype(np.float32) + np.float32(0.5)
            masks = np.moveaxis(part["labels"][entry.row] > 0, -1, 0).copy()
        if not np.isfinite(image).all():
            raise DataError(self._path, f"{where}: expected finite intensities, got NaN or infinity")
        return Sample.of(np.clip(image, 0, 1), masks, id=entry.id, group=entry.group)


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix in (".h5", ".hdf5") else []
    return sorted([*root.glob("*.hdf5"), *root.glob("*.h5")])


def _wrong(file: Any, part: str) -> str | None:
    """What is wrong with one group, in words."""
    if part not in file:
        return "missing"
    missing = [key for key in ("images", "labels", "uids") if key not in file[part]]
    if missing:
        return f"has no {', '.join(missing)}"
    images, labels, uids = (file[part][key].shape for key in ("images", "labels", "uids"))
    if len(images) != 3 or len(labels) != 4 or labels[:3] != images or uids[:1] != images[:1]:
        return f"expected images [N, H, W], labels [N, H, W, R], uids [N], got {images}, {labels}, {uids}"
    return None
