"""LIDC-IDRI nodule crops, 64 x 64, up to four radiologists a slice, in one npz file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from asam.data.errors import DataError
from asam.data.files import FileDataset
from asam.data.sample import Sample, equal_weights
from asam_trt.intensities import scaled
from asam_trt.numpy_files import read_npz

__all__ = ["LidcCrops"]

FILE_NAME: Final = "lidc_crops_64.npz"
# Standardised Hounsfield values: the 1st to 99th percentile is -1.33 to 2.90; the tail above is metal and
# bone.
INTENSITY_WINDOW: Final = (-1.5, 3.0)
_KEYS: Final = ("image", "masks", "n_raters", "patient", "split", "id")


@dataclass(frozen=True)
class _Row:
    id: str
    group: str
    row: int


class LidcCrops(FileDataset[_Row]):
    """The crops of one split; the file's split is by patient.

    The image is `clip((x + 1.5) / 4.5, 0, 1)` of the standardised intensity x, the same for every slice, so
    that grey values stay comparable between patients.

    Args:
        root: folder that holds `lidc_crops_64.npz`, or the file itself.
        split: "train" (570 slices), "validate" (114) or "all".
        empty: "keep" (the convention of the field: a radiologist who did not outline the nodule has the empty
            mask) or "drop" (only masks with a pixel, so R varies from slice to slice).
        report: see `FileDataset`.

    `Sample.seen` marks the radiologists who outlined the nodule in some slice: the file's `n_raters` of them
    did, and since it does not name them, the masks with a pixel are taken first.

    Raises:
        DataError: the file is missing, truncated, holds pickled objects, or has other keys or shapes.
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "validate", "all"] = "train",
        *,
        empty: Literal["keep", "drop"] = "keep",
        report: list[DataError] | None = None,
    ) -> None:
        if split not in ("train", "validate", "all"):
            raise ValueError(f"split: expected 'train', 'validate' or 'all', got {split!r}")
        if empty not in ("keep", "drop"):
            raise ValueError(f"empty: expected 'keep' or 'drop', got {empty!r}")
        self._empty = empty
        entries: list[_Row] = []
        problems: list[DataError] = []
        try:
            self._table = _read(Path(root))
            entries = [
                _Row(str(name), str(patient), row)
                for row, (name, patient, part) in enumerate(
                    zip(*(self._table[key].tolist() for key in ("id", "patient", "split")), strict=True)
                )
                if split in ("all", part)
            ]
        except DataError as error:
            problems.append(error)
        super().__init__(Path(root), entries, problems, report=report, expected=f"the file {FILE_NAME}")

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return (root / FILE_NAME).is_file() or root.name == FILE_NAME

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        self._check(entry)
        masks = self._table["masks"][entry.row].astype(np.bool_)
        marked = masks.any(axis=(1, 2))
        seen = _who_saw(marked, int(self._table["n_raters"][entry.row]))
        if self._empty == "drop":
            masks, seen = masks[marked], seen[marked]
        return Sample.of(
            scaled(self._table["image"][entry.row], *INTENSITY_WINDOW),
            masks,
            id=entry.id,
            group=entry.group,
            weights=equal_weights(len(masks)),
            seen=seen,
        )

    def _check(self, entry: _Row) -> None:
        """Raise DataError where the values of a row are not what they stand for; clipping would hide some."""
        image, masks, n_raters = (self._table[key][entry.row] for key in ("image", "masks", "n_raters"))
        problem = ""
        if not np.isfinite(image).all():
            problem = "expected finite intensities, got NaN or infinity"
        elif not np.isin(masks, (0, 1)).all():
            problem = f"expected masks of 0 and 1, got also {masks[~np.isin(masks, (0, 1))].flat[0]}"
        elif n_raters not in range(len(masks) + 1):
            problem = f"expected n_raters from 0 to the {len(masks)} masks, got {n_raters}"
        if problem:
            raise DataError(
                self.root, f"slice {entry.id}: {problem}", "leave the slice out, or mend the file"
            )


def _who_saw(marked: NDArray[np.bool_], n_raters: int) -> NDArray[np.bool_]:
    order = np.argsort(~marked, kind="stable")
    seen = np.zeros(len(marked), dtype=np.bool_)
    seen[order[: max(n_raters, int(marked.sum()))]] = True
    return seen


def _read(root: Path) -> dict[str, NDArray[Any]]:
    path = root / FILE_NAME if root.is_dir() else root
    if not path.is_file():
        raise DataError(path, f"not found; expected the file {FILE_NAME}", "give the folder that holds it")
    try:
        table = read_npz(path, _KEYS)
    except (OSError, ValueError) as error:
        raise DataError(
            path, f"expected a NumPy archive of {', '.join(_KEYS)}, got: {error}", "copy the file again"
        ) from error
    for key in _KEYS:
        if not table[key].ndim:
            raise DataError(path, f"expected {key} with a row a slice, got a single value")
    count = len(table["id"])
    images, masks = table["image"], table["masks"]
    if images.ndim != 3 or masks.ndim != 4 or masks.shape != (count, masks.shape[1], *images.shape[1:]):
        raise DataError(
            path, f"expected image [N, H, W] and masks [N, R, H, W], got {images.shape} and {masks.shape}"
        )
    for key in ("image", "masks", "n_raters"):
        if table[key].dtype.kind not in "biuf":
            raise DataError(path, f"expected {key} of numbers, got {table[key].dtype}")
    for key in _KEYS:
        if len(table[key]) != count:
            raise DataError(path, f"{key} has {len(table[key])} rows where id has {count}")
    return table
