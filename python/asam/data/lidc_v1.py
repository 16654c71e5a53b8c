"""LIDC-IDRI crops as one pickle (Knegt): series -> image 128 x 128 in [0, 1], four masks, series_uid."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from asam.data.errors import DataError
from asam.data.files import FileDataset
from asam.data.pickles import ArraySpan, read_pickle_index
from asam.data.sample import Sample

__all__ = ["LidcV1"]

_EXPECTED = "one or more .pickle files: a dictionary of {'image', 'masks', 'series_uid'}"


@dataclass(frozen=True)
class _Slice:
    id: str
    group: str
    file: Path
    image: ArraySpan
    masks: tuple[ArraySpan, ...]


class LidcV1(FileDataset[_Slice]):
    """The 15,096 slices of `data_lidc.pickle`, grouped by series.

    Nothing is unpickled (see `asam.data.pickles`): the file is mapped, and a sample's pages are read when it
    is asked for, so that any number of workers share one copy of whatever the system keeps of the file.

    Args:
        root: the pickle file, or the folder that holds it.
        empty: "keep" or "drop" the masks of radiologists who outlined nothing in the slice.
        report: see `FileDataset`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        empty: Literal["keep", "drop"] = "keep",
        report: list[DataError] | None = None,
    ) -> None:
        if empty not in ("keep", "drop"):
            raise ValueError(f"empty: expected 'keep' or 'drop', got {empty!r}")
        self._empty = empty
        self._maps: dict[Path, mmap.mmap] = {}
        entries: list[_Slice] = []
        problems: list[DataError] = []
        for path in _files(Path(root)):
            try:
                entries.extend(_index(path, problems))
            except DataError as error:
                problems.append(error)
        super().__init__(Path(root), entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return bool(_files(root))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_maps": {}}  # a mapping belongs to its process

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        view = self._view(entry.file)
        with np.errstate(over="ignore"):
            image = np.clip(entry.image.read(view).astype(np.float32), 0, 1)
        if np.isnan(image).any():
            raise DataError(entry.file, f"slice {entry.id}: expected intensities in numbers, got NaN")
        masks = np.stack([span.read(view) for span in entry.masks]).reshape(-1, *image.shape) > 0
        if self._empty == "drop" and masks.any():
            masks = masks[masks.any(axis=(1, 2))]
        return Sample.of(image, masks, id=entry.id, group=entry.group)

    def _view(self, path: Path) -> mmap.mmap:
        view = self._maps.get(path)
        if view is None:
            with path.open("rb") as file:
                view = self._maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return view


def _files(root: Path) -> list[Path]:
    if root.is_file():
        return [root] if root.suffix in (".pickle", ".pkl") else []
    return sorted([*root.glob("*.pickle"), *root.glob("*.pkl")])


def _index(path: Path, problems: list[DataError]) -> list[_Slice]:
    table = read_pickle_index(path)
    if not isinstance(table, dict):
        raise DataError(path, f"expected a dictionary of slices, got {type(table).__name__}")
    entries = []
    for key, record in table.items():
        problem = _wrong(record)
        if problem:
            problems.append(DataError(path, f"slice {key!r}: {problem}"))
            continue
        masks = record["masks"]
        spans = (masks,) if isinstance(masks, ArraySpan) else tuple(masks)
        entries.append(_Slice(str(key), str(record["series_uid"]), path, record["image"], spans))
    return entries


def _wrong(record: Any) -> str | None:
    """What is wrong with one slice, in words."""
    if not isinstance(record, dict):
        return f"expected a dictionary, got {type(record).__name__}"
    missing = [key for key in ("image", "masks", "series_uid") if key not in record]
    if missing:
        return f"has no {', '.join(missing)}"
    image, masks = record["image"], record["masks"]
    if not isinstance(image, ArraySpan) or len(image.shape) != 2:
        return "image is not an array [H, W]"
    if isinstance(masks, ArraySpan):
        fits = len(masks.shape) == 3 and masks.shape[1:] == image.shape
    else:
        fits = isinstance(masks, list) and all(
            isinstance(mask, ArraySpan) and mask.shape == image.shape for mask in masks
        )
        fits = fits and len(masks) > 0
    return None if fits else f"masks are not [R, {image.shape[0]}, {image.shape[1]}] like the image"
