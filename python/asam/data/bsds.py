"""BSDS500: photographs cut into segments by several people, each of whom answers a click."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from asam.data.base import encoded
from asam.data.errors import DataError
from asam.data.files import FileDataset, check_regular, listing, read_image
from asam.data.sample import Sample
from asam_trt.numpy_files import read_npz

__all__ = ["Bsds500"]

_PARTS: Final = {"train": "train", "validate": "val", "test": "test"}
_TRIES: Final = 32
_EXPECTED = "images/{train,val,test}/<id>.jpg and groundTruth/{train,val,test}/<id>.mat, or labels/<id>.npz"


@dataclass(frozen=True)
class _Click:
    id: str
    group: str
    image: Path
    labels: Path
    number: int


class Bsds500(FileDataset[_Click]):
    """Clicks on photographs, grouped by photograph. `Sample.click` is the prompt; the masks answer it.

    A click is a pixel drawn from a seed and the sample's id, such that the median of the annotators' segments
    under it covers a share of the image within `area`; the best of 32 draws where none does.

    Args:
        root: folder of the official tree (`BSR`, `BSDS500`, `data` or what is below), or of `images` and
            `labels` with one npz an image: key `labels`, uint16 [annotators, H, W].
        split: "train", "validate", "test" or "all"; only "all" where there are no split folders.
        clicks: samples an image.
        area: smallest and largest share of the image.
        seed: of the clicks.
        report: see `FileDataset`.
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "validate", "test", "all"] = "all",
        *,
        clicks: int = 1,
        area: tuple[float, float] = (0.01, 0.5),
        seed: int = 0,
        report: list[DataError] | None = None,
    ) -> None:
        if split != "all" and split not in _PARTS:
            raise ValueError(f"split: expected one of {', '.join(_PARTS)}, all; got {split!r}")
        if clicks < 1 or seed < 0 or not 0 <= area[0] < area[1] <= 1:
            raise ValueError(f"need clicks >= 1, seed >= 0, 0 <= area <= 1; got {clicks}, {seed}, {area}")
        self._area, self._seed = area, seed
        entries: list[_Click] = []
        problems: list[DataError] = []
        for images, labels in _folders(Path(root), split):
            _collect(images, labels, clicks, entries, problems)
        super().__init__(Path(root), entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return bool(_folders(root, "all"))

    def labels(self, index: int) -> NDArray[np.int64]:
        """The segments of a sample's photograph, [annotators, H, W], numbered from 1 by each."""
        return _read_labels(self.entries[index].labels)

    def answer(self, index: int, x: int, y: int) -> NDArray[np.bool_]:
        """Each annotator's segment under pixel (x, y), bool [annotators, H, W]."""
        labels = self.labels(index)
        height, width = labels.shape[1:]
        if not (0 <= x < width and 0 <= y < height):
            raise ValueError(f"click ({x}, {y}) is outside the image of {width} x {height} pixels (w x h)")
        return _under(labels, x, y)

    @staticmethod
    def splits(root: Path) -> tuple[str, ...]:
        """The split folders that the files come in; none where they come in one."""
        return tuple(split for split in _PARTS if any(truths.is_dir() for _, truths in _folders(root, split)))

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        image, labels = read_image(entry.image), self.labels(index)
        if labels.shape[1:] != image.shape[:2]:
            raise DataError(entry.labels, f"segments are {labels.shape[1:]}, the image {image.shape[:2]}")
        x, y = self._choose(entry, labels)
        return Sample.of(
            image,
            _under(labels, x, y),
            id=entry.id,
            group=entry.group,
            click=np.array([x + 0.5, y + 0.5], dtype=np.float32),
        )

    def _choose(self, entry: _Click, labels: NDArray[np.int64]) -> tuple[int, int]:
        key = [self._seed, entry.number, *encoded(entry.group)]
        rng = np.random.default_rng(key)
        low, high = self._area
        best, chosen = np.inf, (0, 0)
        for _ in range(_TRIES):
            y, x = (int(rng.integers(size)) for size in labels.shape[1:])
            share = float(np.median(_under(labels, x, y).mean(axis=(1, 2))))
            miss = max(low - share, share - high, 0.0)
            if miss < best:
                best, chosen = miss, (x, y)
            if miss == 0.0:
                break
        return chosen


def _under(labels: NDArray[np.int64], x: int, y: int) -> NDArray[np.bool_]:
    return np.equal(labels, labels[:, y, x][:, None, None])


def _folders(root: Path, split: str) -> list[tuple[Path, Path]]:
    for base in (root, root / "data", root / "BSDS500" / "data", root / "BSR" / "BSDS500" / "data"):
        if (base / "images").is_dir() and (base / "groundTruth").is_dir():
            parts = _PARTS.values() if split == "all" else [_PARTS[split]]
            return [(base / "images" / part, base / "groundTruth" / part) for part in parts]
    if split == "all" and (root / "images").is_dir() and (root / "labels").is_dir():
        return [(root / "images", root / "labels")]
    return []


def _collect(
    images: Path, labels: Path, clicks: int, entries: list[_Click], problems: list[DataError]
) -> None:
    truths = {path.stem: path for path in listing(labels) if path.suffix in (".mat", ".npz")}
    for image in listing(images):
        if image.suffix != ".jpg":
            continue
        truth = truths.pop(image.stem, None)
        if truth is None:
            problems.append(DataError(image, f"has no segments in {labels}"))
            continue
        entries.extend(_Click(f"{image.stem}/{n}", image.stem, image, truth, n) for n in range(clicks))
    problems.extend(
        DataError(path, f"segments without the image {images / path.stem}.jpg") for path in truths.values()
    )


def _read_labels(path: Path) -> NDArray[np.int64]:
    check_regular(path)
    labels = _from_mat(path) if path.suffix == ".mat" else _from_npz(path)
    if labels.ndim != 3 or not len(labels) or labels.dtype.kind not in "biuf":
        raise DataError(
            path, f"expected segments [annotators, H, W] in numbers, got {labels.dtype} {list(labels.shape)}"
        )
    return labels.astype(np.int64)


def _from_npz(path: Path) -> NDArray[Any]:
    try:
        return read_npz(path, ("labels",))["labels"]
    except (OSError, ValueError) as error:
        raise DataError(path, f"expected a NumPy archive of labels, got: {error}", "copy it again") from error


def _from_mat(path: Path) -> NDArray[Any]:
    from scipy.io import loadmat

    try:
        content = loadmat(path, variable_names=["groundTruth"])
        if "groundTruth" not in content:
            raise DataError(path, "has no variable groundTruth")
        return np.stack([cell["Segmentation"][0, 0] for cell in content["groundTruth"].ravel()])
    except DataError:
        raise
    except Exception as error:  # zlib and the reader raise many unrelated types
        raise DataError(
            path, f"truncated or damaged ({type(error).__name__}: {error})", "copy it again"
        ) from error
