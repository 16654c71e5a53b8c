"""LIDC-IDRI crops as a JPEG tree (CIMD): <split>/<id>/image_<id>.jpg and label0_ to label3_<id>.jpg."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asam.data.errors import DataError
from asam.data.files import FileDataset, listing, read_image, read_mask
from asam.data.sample import Sample

__all__ = ["LidcCimd"]

_PARTS = {"train": ("training", "train"), "validate": ("validation", "val"), "test": ("testing", "test")}
_LABEL = re.compile(r"^label(\d+)_")
_RATERS = 4
_HALF = 127  # JPEG smears 0 and 255
_EXPECTED = "<split>/<id>/image_<id>.jpg with label0_<id>.jpg to label3_<id>.jpg"


@dataclass(frozen=True)
class _Folder:
    id: str
    group: str
    image: Path
    masks: tuple[Path, ...]


class LidcCimd(FileDataset[_Folder]):
    """The slices of one split folder. The layout does not name patients: every slice is its own group.

    Args:
        root: folder that holds `training`, `validation`, `testing` (or `train`, `val`, `test`), or one.
        split: "train", "validate", "test" or "all".
        report: see `FileDataset`.
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "validate", "test", "all"] = "all",
        *,
        report: list[DataError] | None = None,
    ) -> None:
        if split != "all" and split not in _PARTS:
            raise ValueError(f"split: expected one of {', '.join(_PARTS)}, all; got {split!r}")
        folder = Path(root)
        entries: list[_Folder] = []
        problems: list[DataError] = []
        for part in _bases(folder, split):
            for case in listing(part):
                if case.is_dir():
                    _collect(
                        case, case.name if part == folder else f"{part.name}/{case.name}", entries, problems
                    )
        super().__init__(folder, entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return any(next(base.glob("*/label0_*"), None) is not None for base in _bases(root, "all"))

    @staticmethod
    def splits(root: Path) -> tuple[str, ...]:
        """The split folders that the files come in; none where they come in one."""
        return tuple(split for split in _PARTS if _bases(root, split))

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        image = read_image(entry.image)
        masks = np.stack([read_mask(path, image.shape, threshold=_HALF) for path in entry.masks])
        return Sample.of(image, masks, id=entry.id, group=entry.group)


def _bases(root: Path, split: str) -> list[Path]:
    names = [name for part in _PARTS.values() for name in part] if split == "all" else _PARTS[split]
    inside = [root / name for name in names if (root / name).is_dir()]
    return inside or ([root] if split == "all" and root.is_dir() else [])


def _collect(case: Path, name: str, entries: list[_Folder], problems: list[DataError]) -> None:
    images = [path for path in listing(case) if path.stem.startswith("image_")]
    masks = [path for path in listing(case) if _LABEL.match(path.stem)]
    if len(images) != 1 or len(masks) != _RATERS:
        problems.append(
            DataError(case, f"has {len(images)} images and {len(masks)} masks, expected 1 and {_RATERS}")
        )
    else:
        entries.append(_Folder(name, name, images[0], tuple(masks)))
