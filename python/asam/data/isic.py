"""ISBI/ISIC 2016 task 1: ISIC_<7 digits>.jpg and ISIC_<7 digits>_Segmentation.png, one lesion an image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asam.data.errors import DataError
from asam.data.files import FileDataset, listing, read_image, read_mask, same_size
from asam.data.files import image_size as size_of
from asam.data.sample import Sample

__all__ = ["Isic2016"]

_PREFIX: Final = "ISBI2016_ISIC_Part1_"
_PARTS: Final = {"train": "Training", "test": "Test"}
_IMAGE: Final = re.compile(r"^ISIC_\d{7}$")
_PUBLISHED: Final = (192, 256)  # (H, W) of the published protocol, padded below to 256 x 256
_EXPECTED = f"{_PREFIX}Training_Data/ISIC_<7 digits>.jpg, {_PREFIX}Training_GroundTruth/..._Segmentation.png"


@dataclass(frozen=True)
class _Photo:
    id: str
    group: str
    image: Path
    mask: Path


class Isic2016(FileDataset[_Photo]):
    """Dermoscopy photographs with one lesion mask each.

    Args:
        root: folder that holds the official folders.
        split: "train" (900), "test" (379) or "all".
        size: "original", or "published": resized to 256 x 192 (bilinear; the mask by nearest) and padded with
            black below to 256 x 256.
        report: see `FileDataset`.
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "test", "all"] = "all",
        *,
        size: Literal["original", "published"] = "original",
        report: list[DataError] | None = None,
    ) -> None:
        if split not in ("train", "test", "all"):
            raise ValueError(f"split: expected 'train', 'test' or 'all', got {split!r}")
        if size not in ("original", "published"):
            raise ValueError(f"size: expected 'original' or 'published', got {size!r}")
        self._published = size == "published"
        entries: list[_Photo] = []
        problems: list[DataError] = []
        for name in _PARTS.values() if split == "all" else [_PARTS[split]]:
            _collect(Path(root), name, entries, problems)
        super().__init__(Path(root), entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return any((root / f"{_PREFIX}{name}_Data").is_dir() for name in _PARTS.values())

    @staticmethod
    def splits(root: Path) -> tuple[str, ...]:
        """The split folders that the files come in; none where they come in one."""
        found = tuple(split for split, name in _PARTS.items() if (root / f"{_PREFIX}{name}_Data").is_dir())
        return found if "test" in found else ()

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        image = read_image(entry.image)
        mask = read_mask(entry.mask, image.shape)
        if self._published:
            image, mask = _resize(image, mask)
        return Sample.of(image, mask[None], id=entry.id, group=entry.group)


def _collect(root: Path, part: str, entries: list[_Photo], problems: list[DataError]) -> None:
    images, truths = root / f"{_PREFIX}{part}_Data", root / f"{_PREFIX}{part}_GroundTruth"
    names = set()
    for path in listing(images):
        if path.suffix != ".jpg" or not _IMAGE.match(path.stem):
            problems.append(DataError(path, "is not named ISIC_<7 digits>.jpg"))
            continue
        names.add(path.stem)
        mask = truths / f"{path.stem}_Segmentation.png"
        if not mask.is_file():
            problems.append(DataError(mask, "not found"))
            continue
        try:
            wrong = same_size([mask], size_of(path))
        except DataError as error:
            wrong = [error]
        problems.extend(wrong)
        if not wrong:
            entries.append(_Photo(path.stem, path.stem, path, mask))
    for path in listing(truths):
        if path.stem.removesuffix("_Segmentation") not in names:
            problems.append(DataError(path, f"mask without an image in {images.name}"))


def _resize(image: NDArray[np.uint8], mask: NDArray[np.bool_]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    height, width = _PUBLISHED
    photo = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))
    lesion = np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))
    below = ((0, width - height), (0, 0))
    return np.pad(photo, (*below, (0, 0))), np.pad(lesion, below)
