"""LIDC-IDRI crops as a PNG tree (HPU-Net): {images,gt}/<patient>/z-<z>_c<crop>[_l<rater>].png, 180 x 180."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from asam.data.errors import DataError
from asam.data.files import FileDataset, listing, read_image, read_mask
from asam.data.sample import Sample

__all__ = ["LidcV2"]

_PARTS = {"train": ("train",), "validate": ("val", "validate"), "test": ("test",)}
_LABEL = re.compile(r"^(?P<stem>.+)_l\d+$")
_RATERS = 4
_EXPECTED = "images/<patient>/z-<position>_c<crop>.png and gt/<patient>/z-<position>_c<crop>_l<rater>.png"


@dataclass(frozen=True)
class _Crop:
    id: str
    group: str
    image: Path
    masks: tuple[Path, ...]


class LidcV2(FileDataset[_Crop]):
    """The crops below `root`, which holds `images` and `gt`, or `train`, `val` and `test` that hold them.

    Args:
        root: folder.
        split: "train", "validate", "test" or "all"; only "all" where there are no split folders.
        report: see `FileDataset`.
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "validate", "test", "all"] = "all",
        *,
        report: list[DataError] | None = None,
    ) -> None:
        folder = Path(root)
        entries: list[_Crop] = []
        problems: list[DataError] = []
        for part in _bases(folder, split):
            for patient in listing(part / "images"):
                if patient.is_dir():
                    _collect(part, patient.name, entries, problems)
        super().__init__(folder, entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return any((base / "gt").is_dir() for base in _bases(root, "all"))

    @staticmethod
    def splits(root: Path) -> tuple[str, ...]:
        """The split folders that the files come in; none where they come in one."""
        return tuple(split for split in _PARTS if _bases(root, split))

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        image = read_image(entry.image)
        masks = np.stack([read_mask(path, image.shape) for path in entry.masks])
        return Sample.of(image, masks, id=entry.id, group=entry.group)


def _bases(root: Path, split: str) -> list[Path]:
    names = [name for part in _PARTS.values() for name in part] if split == "all" else _PARTS.get(split)
    if names is None:
        raise ValueError(f"split: expected one of {', '.join(_PARTS)}, all; got {split!r}")
    inside = [root / name for name in names if (root / name / "images").is_dir()]
    if not inside and split == "all" and (root / "images").is_dir():
        return [root]
    return inside


def _collect(part: Path, patient: str, entries: list[_Crop], problems: list[DataError]) -> None:
    labels: dict[str, list[Path]] = {}
    for path in listing(part / "gt" / patient):
        match = _LABEL.match(path.stem)
        if match is None or path.suffix != ".png":
            problems.append(DataError(path, "is not named z-<position>_c<crop>_l<rater>.png"))
        else:
            labels.setdefault(match["stem"], []).append(path)
    for image in listing(part / "images" / patient):
        masks = labels.pop(image.stem, [])
        if len(masks) != _RATERS:
            problems.append(DataError(image, f"has {len(masks)} masks in gt/{patient}, expected {_RATERS}"))
        else:
            entries.append(_Crop(f"{patient}/{image.stem}", patient, image, tuple(masks)))
    problems.extend(
        DataError(paths[0], f"mask without the image {stem}.png") for stem, paths in labels.items()
    )
