"""A user's own set: images/<id>.<ext>, masks/<id>/<rater>.png, optional index.csv (id, split, group)."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from asam.data.errors import DataError
from asam.data.files import IMAGE_SUFFIXES, FileDataset, image_size, listing, read_image, read_mask, same_size
from asam.data.sample import Sample
from asam_trt.counting import counted

__all__ = ["Folder"]

_VALIDATE: Final = ("val", "valid", "validation")
_SHOWN: Final = 2  # names of files, of many
_EXPECTED = "images/<id>.<ext> and masks/<id>/<rater>.png"


@dataclass(frozen=True)
class _Item:
    id: str
    group: str
    split: str
    image: Path
    masks: tuple[Path, ...]


class Folder(FileDataset[_Item]):
    """Any images with one mask a rater. A mask is 0 and one other value; all 0 says that there is no object.

    Args:
        root: folder with `images` and `masks`.
        split: "all", or a name in the column `split` of index.csv; val, valid and validation are "validate".
        report: see `FileDataset`.
    """

    def __init__(
        self, root: str | Path, split: str = "all", *, report: list[DataError] | None = None
    ) -> None:
        folder = Path(root)
        problems: list[DataError] = []
        items = _collect(folder, problems)
        known = sorted({item.split for item in items if item.split})
        if _named(split) not in ("all", *known):
            names = ", ".join(known) if known else "none: index.csv is missing or has no column split"
            raise ValueError(f"split: expected one in {folder / 'index.csv'} ({names}), got {split!r}")
        chosen = [item for item in items if _named(split) in ("all", item.split)]
        super().__init__(folder, chosen, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return (root / "images").is_dir() and (root / "masks").is_dir()

    @staticmethod
    def splits(root: Path) -> tuple[str, ...]:
        """The splits that index.csv names."""
        rows = _index(root / "index.csv", []) or {}
        return tuple(sorted({split for split, _ in rows.values() if split}))

    def _load(self, index: int) -> Sample:
        item = self.entries[index]
        image = read_image(item.image)
        masks = np.stack([read_mask(path, image.shape) for path in item.masks])
        return Sample.of(
            image, masks, id=item.id, group=item.group, raters=tuple(path.stem for path in item.masks)
        )


def _named(split: str) -> str:
    return "validate" if split in _VALIDATE else split


def _collect(root: Path, problems: list[DataError]) -> list[_Item]:
    rows = _index(root / "index.csv", problems)
    items: dict[str, _Item] = {}
    names, without_folder = set(), 0
    inside = listing(root / "masks")
    flat = [path for path in inside if _is_picture(path) and path.is_file()]
    for path in listing(root / "images"):
        name = path.stem
        if not _is_picture(path):
            problems.append(DataError(path, f"is not an image; expected one of {', '.join(IMAGE_SUFFIXES)}"))
            continue
        if name in names:
            problems.append(DataError(path, f"a second image with the id {name!r}"))
            continue
        names.add(name)
        masks = [mask for mask in listing(root / "masks" / name) if _is_picture(mask)]
        if flat and not (root / "masks" / name).is_dir():
            without_folder += 1
            continue
        if not masks:
            problems.append(DataError(root / "masks" / name, f"holds no masks for the image {path.name}"))
            continue
        try:
            wrong = same_size(masks, image_size(path))
        except DataError as error:
            wrong = [error]
        problems.extend(wrong)
        if not wrong:
            split, group = rows.get(name, ("", "")) if rows is not None else ("", "")
            items[name] = _Item(name, group or name, split, path, tuple(masks))
    if flat:
        problems.append(_flat(flat, without_folder))
    for path in sorted({*inside} - {*flat}):
        if path.name not in names:
            problems.append(DataError(path, "masks without an image of this name"))
    for name in sorted(set(rows or ()) - names):
        problems.append(DataError(root / "index.csv", f"names the id {name!r}, which has no image"))
    if rows is not None:
        missing = sorted(names - set(rows))
        problems.extend(
            DataError(root / "index.csv", f"has no row for the image {name!r}") for name in missing
        )
    return list(items.values())


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES


def _flat(found: list[Path], without_folder: int) -> DataError:
    """Said once: a set that is laid out so has hundreds of such files, and no folder for any image."""
    shown = ", ".join(path.name for path in found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
    lie = "lies" if len(found) == 1 else "lie"
    lack = f"; {counted(without_folder, 'image')} without a folder there" if without_folder else ""
    return DataError(
        found[0].parent,
        f"masks must be masks/<id>/<rater>.png; {counted(len(found), 'file')} {lie} directly in masks/ ({shown}){lack}",
        "put each into the folder of its image",
    )


def _index(path: Path, problems: list[DataError]) -> dict[str, tuple[str, str]] | None:
    """id -> (split, group), or None where there is no index."""
    if not path.is_file():
        return None
    rows: dict[str, tuple[str, str]] = {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if "id" not in (reader.fieldnames or ()):
                problems.append(
                    DataError(path, f"has the columns {reader.fieldnames}, expected id, split, group")
                )
                return None
            for number, row in enumerate(reader, start=2):
                name = (row["id"] or "").strip()
                if not name or name in rows:
                    problems.append(DataError(path, f"line {number}: id {name!r} is empty or named twice"))
                    continue
                rows[name] = (_named((row.get("split") or "").strip()), (row.get("group") or "").strip())
    except (UnicodeDecodeError, csv.Error) as error:
        problems.append(DataError(path, f"is not a CSV file in UTF-8 ({error})"))
        return None
    return rows
