"""Reading files so that whatever is wrong with one is said together with its name."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from asam.data.base import ArrayDataset
from asam.data.errors import DataError
from asam.data.mask_values import mask_values
from asam.data.sample import Sample
from asam_trt.counting import counted
from asam_trt.file_errors import check_regular
from asam_trt.files import write_text
from asam_trt.pictures import BROKEN

__all__ = [
    "IMAGE_SUFFIXES",
    "Entry",
    "FileDataset",
    "check_regular",
    "image_size",
    "listing",
    "read_image",
    "read_mask",
    "same_size",
    "write_json",
]

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

_DEEP = ("I", "F")  # Pillow's modes of more than 8 bits a channel begin so
_LYING = (5, 6, 7, 8)  # EXIF's orientations of pictures whose sides are exchanged
_PNG_EXIF = {"exif", "Raw profile type exif"}  # where Pillow keeps what a PNG has of it before the pixels


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


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 [H, W, 3] RGB of any picture file of 8 bits a channel, upright as its EXIF data say.

    Raises:
        DataError: no such picture. Deeper ones are refused: how their values are to be seen is not for us to guess.
    """
    with _opened(path) as picture:
        if picture.mode.startswith(_DEEP):
            raise DataError(
                path,
                f"has more than 8 bits a channel (Pillow's mode {picture.mode})",
                "save it with 8 bits a channel, scaled as it is to be seen",
            )
        return np.array(_upright(picture).convert("RGB"))  # a copy: Pillow's own array is read-only


def image_size(path: Path) -> tuple[int, int]:
    """(H, W) of the upright picture, from the file's header alone."""
    with _opened(path) as picture:
        size = picture.size
        if (
            picture.format == "TIFF"
        ):  # whose sides newer Pillows exchange here, and older ones when it is read
            tags = picture.tag_v2  # type: ignore[attr-defined]
            size = tags[ExifTags.Base.ImageWidth], tags[ExifTags.Base.ImageLength]
        width, height = size[::-1] if _orientation(picture) in _LYING else size
        return height, width


def _upright(picture: Image.Image) -> Image.Image:
    return picture if _orientation(picture) == 1 else ImageOps.exif_transpose(picture)


def _orientation(picture: Image.Image) -> int:
    """As EXIF numbers them, from 1, which is upright."""
    if picture.format == "PNG" and not _PNG_EXIF & picture.info.keys():
        return 1  # Pillow would decode all of a PNG to look for such data behind the pixels
    try:
        return int(picture.getexif().get(ExifTags.Base.Orientation, 1))
    except (*BROKEN, TypeError, LookupError):  # damaged data about a picture that may well be whole
        return 1


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture; DataError in place of what Pillow raises."""
    check_regular(path)
    try:
        # By its name Pillow would map a TIFF without compression, and mix up the rows of one that lies.
        with path.open("rb") as file, Image.open(file) as picture:
            yield picture
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError(
            path, "cannot be read as an image: it is of no known kind", "copy the file again"
        ) from error
    except BROKEN as error:
        raise DataError(path, f"cannot be read as an image: {error}", "copy the file again") from error


def _other_size(mask: tuple[int, ...], image: tuple[int, ...]) -> str:
    """What is wrong with a mask whose shape [H, W] is not that of its image."""
    return f"mask is {mask[1]} x {mask[0]} (w x h), its image {image[1]} x {image[0]}"


def read_mask(path: Path, shape: tuple[int, ...], *, threshold: int | None = None) -> NDArray[np.bool_]:
    """bool [H, W] of a mask file, upright as an image is.

    Args:
        path: a picture with one value for the object and 0 for the rest. The values of a palette's picture are its
            indices; where only its transparency differs from pixel to pixel, that is the mask.
        shape: the image's shape; the mask's first two sizes must be the same.
        threshold: grey value above which a pixel belongs to the object. None takes any value but 0, and
            then demands that there be only one such value.

    Raises:
        DataError: unreadable, of another size, or not a mask.
    """
    with _opened(path) as picture:
        upright = _upright(picture)
        values = np.array(upright.convert("L")) if threshold else mask_values(path, upright)
    if values.shape != shape[:2]:
        raise DataError(path, _other_size(values.shape, shape))
    mask = values > threshold if threshold else values != 0
    found = np.unique(values[mask])
    if threshold is None and len(found) > 1:
        shown = ", ".join(str(value) for value in found[:4])
        raise DataError(path, f"expected a mask with one value besides 0, got {len(found)} ({shown}, ...)")
    return np.asarray(mask)


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
