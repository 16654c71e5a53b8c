"""Reading files so that whatever is wrong with one is said together with its name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from asam.data.base import ArrayDataset
from asam.data.errors import DataError
from asam.data.sample import Sample
from asam_trt.counting import counted
from asam_trt.files import write_text

__all__ = [
    "IMAGE_SUFFIXES",
    "Entry",
    "FileDataset",
    "image_size",
    "listing",
    "read_image",
    "read_mask",
    "same_size",
    "write_json",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")


class Entry(Protocol):
    """What a data set knows of a sample before it reads it."""

    @property
    def id(self) -> str: ...

    @property
    def group(self) -> str: ...


E = TypeVar("E", bound=Entry)


class FileDataset(ArrayDataset[Sample], Generic[E]):
    """Base of the data sets that are made of files: the entries are found at once, the files read one by one.

    Args:
        root: the folder that was searched.
        entries: what was found, in the order of the samples.
        problems: what is wrong. The first is raised, unless `report` is given.
        report: takes the problems instead; the samples that are in order can then be used.
        expected: the layout in words, for the error about a folder without samples.
    """

    def __init__(
        self,
        root: Path,
        entries: Sequence[E],
        problems: Sequence[DataError],
        *,
        report: list[DataError] | None,
        expected: str,
    ) -> None:
        if not entries and not problems:
            what = "is not there" if not root.exists() else "holds no samples"
            problems = [DataError(root, f"{what}; expected {expected}", "check the path")]
        if report is not None:
            report.extend(problems)
        elif problems:
            # Opening looks at names and headers alone: a check, which reads the files, may find more.
            first, others = problems[0], len({str(problem) for problem in problems}) - 1
            more = (
                f"; {counted(others, 'more problem')} so far: `asam data check {root}` reads every file and lists all"
                if others
                else ""
            )
            raise DataError(first.path, first.problem + more, first.remedy)
        self.root = root
        self.entries = tuple(entries)
        super().__init__(ids=[entry.id for entry in entries], groups=[entry.group for entry in entries])


def listing(folder: Path) -> list[Path]:
    """The visible entries of a folder by name; none where the folder is missing."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__")))


def _open(path: Path, mode: str) -> NDArray[np.uint8]:
    with _readable(path), Image.open(path) as picture:
        return np.array(picture.convert(mode))  # a copy: Pillow's own array is read-only


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] RGB of any picture file of 8 bits a channel.

    Raises:
        DataError: no such picture. Deeper ones are refused: how their values are to be seen is not for us to guess.
    """
    if (depth := _mode(path)).startswith(("I", "F")):
        raise DataError(
            path,
            f"has more than 8 bits a channel (Pillow's mode {depth})",
            "save it with 8 bits a channel, scaled as it is to be seen",
        )
    return _open(path, "RGB")


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) from the file's header alone."""
    with _readable(path), Image.open(path) as picture:
        return picture.height, picture.width


def _mode(path: Path) -> str:
    """Pillow's name of the kind of pixels, from the file's header alone."""
    with _readable(path), Image.open(path) as picture:
        return str(picture.mode)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """DataError in place of what Pillow raises."""
    try:
        yield
    except FileNotFoundError as error:
        raise DataError(path, "not found") from error
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(path, f"cannot be read as an image: {error}", "copy the file again") from error


def _other_size(mask: tuple[int, ...], image: tuple[int, ...]) -> str:
    """What is wrong with a mask whose shape [H, W] is not that of its image."""
    return f"mask is {mask[1]} x {mask[0]} (w x h), its image {image[1]} x {image[0]}"


def read_mask(path: Path, shape: tuple[int, ...], *, threshold: int | None = None) -> NDArray[np.bool_]:
    """bool [H, W] of a mask file.

    Args:
        path: a picture with one value for the object and 0 for the rest.
        shape: the image's shape; the mask's first two sizes must be the same.
        threshold: grey value above which a pixel belongs to the object. None takes any value above 0, and
            then demands that there be only one such value.

    Raises:
        DataError: unreadable, of another size, or not a mask.
    """
    grey = _open(path, "L")
    if grey.shape != shape[:2]:
        raise DataError(path, _other_size(grey.shape, shape))
    if threshold is not None:
        return grey > threshold
    mask = grey > 0
    values = np.unique(grey[mask])
    if len(values) > 1:
        shown = ", ".join(str(value) for value in values[:4])
        raise DataError(path, f"expected a mask with one value besides 0, got {len(values)} ({shown}, ...)")
    return mask


def write_json(path: Path, content: Any) -> None:
    """Writes JSON under a temporary name and renames it, so that nobody reads half a file."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def same_size(paths: Iterable[Path], shape: tuple[int, int]) -> list[DataError]:
    """One error for every picture that is unreadable or not of `shape` (H, W), by the headers alone."""
    problems = []
    for path in paths:
        try:
            size = image_size(path)
        except DataError as error:
            problems.append(error)
            continue
        if size != shape:
            problems.append(DataError(path, _other_size(size, shape)))
    return problems
