"""Sim10k: game scenes with instance colours; two overlapping cars give {A, B, A or B}."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from asam.data.base import encoded
from asam.data.errors import DataError
from asam.data.files import FileDataset, listing, read_image, write_json
from asam.data.sample import Promise, Sample

__all__ = ["Sim10k", "verified_list"]

_log = logging.getLogger("asam")

Box = tuple[int, int, int, int]  # xyxy, right and bottom edges excluded

_MATCH: Final = 0.5  # IoU of an annotated box and an instance's own
_EXPECTED = "JPEGImages/<id>.jpg, Annotations/<id>.xml and Masks/<id>.png"


@dataclass(frozen=True)
class _Pair:
    id: str
    group: str
    image: Path
    mask: Path
    boxes: tuple[Box, Box]


class Sim10k(FileDataset[_Pair]):
    """Pairs of objects whose annotated boxes overlap, cropped; grouped by photograph.

    The masks are A, B, and A or B, each what shows of it, with equal weights. An object's instance colour is
    the one whose pixels fill a box that matches the annotated one (IoU of at least 0.5, the best of all
    colours).

    Args:
        root: folder with JPEGImages, Annotations and Masks.
        overlap: smallest IoU of the two boxes.
        smallest: smallest side of a box in pixels.
        margin: how far the crop goes beyond the pair's box, as a share of its longer side.
        verified: a JSON file. Boxes overlap more often than instances match, and a pair that does not match
            is an error when it is read. Where given, every pair is read once, and the ids of the good ones
            are kept in this file for the next time; the others are left out, and a line of the log "asam" says
            how many. `open_dataset` gives the file of :func:`verified_list`.
        report: see `FileDataset`.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        overlap: float = 0.05,
        smallest: int = 24,
        margin: float = 0.25,
        verified: str | Path | None = None,
        report: list[DataError] | None = None,
    ) -> None:
        if not 0 <= overlap < 1 or smallest < 1 or margin < 0:
            raise ValueError(
                f"need 0 <= overlap < 1, smallest >= 1, margin >= 0; got {overlap}, {smallest}, {margin}"
            )
        self._margin = margin
        folder = Path(root)
        entries: list[_Pair] = []
        problems: list[DataError] = []
        for image in listing(folder / "JPEGImages"):
            if image.suffix == ".jpg":
                _collect(folder, image, overlap, smallest, entries, problems)
        super().__init__(folder, entries, problems, report=report, expected=_EXPECTED)
        if verified is not None:
            good = self._verified(Path(verified), [overlap, smallest])
            if left_out := len(entries) - len(good):
                _tell(
                    f"{folder}: {left_out} of {len(entries)} pairs are left out, as their boxes match no two "
                    f"instances; `asam data check {folder}` lists them"
                )
            super().__init__(
                folder,
                [entry for entry in entries if entry.id in good],
                [],
                report=report,
                expected=_EXPECTED,
            )

    def _verified(self, path: Path, key: list[float]) -> set[str]:
        """The ids of the pairs that can be read, from the file or by reading them all."""
        pairs = hashlib.sha256(encoded("\n".join(self.ids))).hexdigest()
        if path.is_file():
            try:
                known = json.loads(path.read_text(encoding="utf-8"))
                if known["overlap_smallest"] == key and known.get("pairs_sha256") == pairs:
                    return set(known["ids"])
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(path, f"is not a list of verified pairs ({error})", "delete it") from error
        _tell(f"{self.root}: reading {len(self)} pairs once, to find those whose boxes match two instances")
        good = []
        for index, name in enumerate(self.ids):
            try:
                self._load(index)
            except DataError:
                continue
            good.append(name)
        try:
            write_json(path, {"overlap_smallest": key, "pairs_sha256": pairs, "ids": good})
        except OSError as error:
            _tell(f"{path}: the list of matching pairs cannot be kept for the next time: {error}")
        return set(good)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return all((root / name).is_dir() for name in ("JPEGImages", "Annotations", "Masks"))

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        image, colors = read_image(entry.image), read_image(entry.mask).astype(np.int32)
        if colors.shape != image.shape:
            raise DataError(entry.mask, f"is {colors.shape[:2]}, its image {image.shape[:2]}")
        codes = (colors[..., 0] << 16) | (colors[..., 1] << 8) | colors[..., 2]
        first, second = (_color(entry.mask, codes, box) for box in entry.boxes)
        if first == second:
            raise DataError(entry.mask, f"the boxes {entry.boxes} hold one and the same instance")
        a, b = codes == first, codes == second
        crop = _crop(entry.boxes, image.shape, self._margin)
        masks = np.stack([a, b, a | b])[:, crop[0], crop[1]]
        return Sample.of(
            image[crop].copy(), masks.copy(), id=entry.id, group=entry.group, promise=Promise.INSTANCES
        )


def verified_list(root: Path) -> Path:
    """Where the matching pairs of a folder are listed: ~/.cache/asam, or the folder that XDG_CACHE_HOME names."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "asam" / f"sim10k-{hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]}.json"


@cache
def _tell(line: str) -> None:
    """Once a process: a command opens several splits of the same files."""
    _log.warning(line)


def _collect(
    root: Path,
    image: Path,
    overlap: float,
    smallest: int,
    entries: list[_Pair],
    problems: list[DataError],
) -> None:
    notes, mask = root / "Annotations" / f"{image.stem}.xml", root / "Masks" / f"{image.stem}.png"
    lost = [path for path in (notes, mask) if not path.is_file()]
    problems.extend(DataError(path, "not found") for path in lost)
    if lost:
        return
    try:
        boxes = _boxes(notes)
    except DataError as error:
        problems.append(error)
        return
    large = [box for box in boxes if min(box[2] - box[0], box[3] - box[1]) >= smallest]
    pairs = [pair for pair in itertools.combinations(large, 2) if _iou(*pair) > overlap]
    entries.extend(
        _Pair(f"{image.stem}/{number}", image.stem, image, mask, pair) for number, pair in enumerate(pairs)
    )


def _boxes(path: Path) -> list[Box]:
    try:
        tree = ElementTree.parse(path)
        return [_box(node) for node in tree.iter("bndbox")]
    except ElementTree.ParseError as error:
        raise DataError(path, f"truncated or not XML ({error})") from error
    except (TypeError, ValueError) as error:
        raise DataError(path, f"a bndbox without four numbers ({error})") from error


def _box(node: ElementTree.Element) -> Box:
    x0, y0, x1, y1 = (
        int(float(node.findtext(name) or "missing")) for name in ("xmin", "ymin", "xmax", "ymax")
    )
    if x1 <= x0 or y1 <= y0:
        raise ValueError(f"inverted box {x0} {y0} {x1} {y1}")
    return x0, y0, x1 + 1, y1 + 1  # VOC counts the last pixel in


def _iou(a: Box, b: Box) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _color(path: Path, codes: NDArray[np.int32], box: Box) -> int:
    """The instance colour of an annotated box."""
    x0, y0, x1, y1 = box
    best, chosen = 0.0, -1
    for code in np.unique(codes[max(y0, 0) : y1, max(x0, 0) : x1]).tolist():
        if code == 0:
            continue
        rows, columns = np.nonzero(codes == code)
        own = (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)
        if _iou(own, box) > best:
            best, chosen = _iou(own, box), code
    if best < _MATCH:
        raise DataError(path, f"no instance colour fills the annotated box {box} (best IoU {best:.2f})")
    return chosen


def _crop(boxes: tuple[Box, Box], shape: tuple[int, ...], margin: float) -> tuple[slice, slice]:
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes
    x0, y0, x1, y1 = min(ax0, bx0), min(ay0, by0), max(ax1, bx1), max(ay1, by1)
    extra = round(margin * max(x1 - x0, y1 - y0))
    return (
        slice(max(y0 - extra, 0), min(y1 + extra, shape[0])),
        slice(max(x0 - extra, 0), min(x1 + extra, shape[1])),
    )
