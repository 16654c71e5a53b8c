"""QUBIQ: <set>/.../case<nn>/image.nii.gz with one label file a task and rater, task<nn>_seg<nn>.nii.gz."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from asam.data.errors import DataError
from asam.data.files import FileDataset
from asam.data.sample import Sample
from asam_trt.intensities import scaled
from asam_trt.nifti_files import read_nifti

__all__ = ["Qubiq"]

_LABEL: Final = re.compile(r"^task(?P<task>\d+)_seg(?P<rater>\d+)\.nii\.gz$")
_CHANNELS: Final = 4  # an axis this short holds modalities, not pixels
_PARTS: Final = {
    "train": ("train", "training"),
    "validate": ("val", "validation"),
    "test": ("test", "testing"),
}
_EXPECTED = "<set>/<split>/case<nn>/image.nii.gz and task<nn>_seg<nn>.nii.gz"


@dataclass(frozen=True)
class _Task:
    id: str
    group: str
    image: Path
    masks: tuple[Path, ...]


class Qubiq(FileDataset[_Task]):
    """One sample a case and task, grouped by case; the two-dimensional sets of 2020 and 2021.

    The image is scaled by its 0.5th and 99.5th percentile, each modality by its own; of several modalities
    the first three become red, green and blue.

    Args:
        root: folder of one set, of one split of it, or of all.
        split: "train", "validate" or "test": cases below a folder Training, Validation or Test; or "all".
        task: only this task number, from 1; None for every task.
        report: see `FileDataset`.

    Raises:
        ImportError: nibabel is not installed.
    """

    def __init__(
        self,
        root: str | Path,
        split: Literal["train", "validate", "test", "all"] = "all",
        *,
        task: int | None = None,
        report: list[DataError] | None = None,
    ) -> None:
        if split != "all" and split not in _PARTS:
            raise ValueError(f"split: expected one of {', '.join(_PARTS)}, all; got {split!r}")
        folder = Path(root)
        entries: list[_Task] = []
        problems: list[DataError] = []
        for image in _images(folder):
            if split in ("all", _split_of(folder, image)):
                _collect(folder, image, task, entries, problems)
        super().__init__(folder, entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        depths = ("", "*/", "*/*/")
        return any(next(root.glob(f"{depth}case*/image.nii.gz"), None) for depth in depths)

    @staticmethod
    def splits(root: Path) -> tuple[str, ...]:
        """The split folders that the cases lie in, where there are several and every case lies in one."""
        found = {_split_of(root, image) for image in _images(root)}
        return (
            tuple(split for split in _PARTS if split in found) if None not in found and len(found) > 1 else ()
        )

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        found = read_nifti(entry.image)
        sizes = found.zooms
        image = _picture(entry.image, found.values)
        masks = []
        for path in entry.masks:
            labels = np.squeeze(read_nifti(path).values)
            if labels.T.shape != image.shape[:2]:
                raise DataError(path, f"is {labels.shape}, its image {image.shape[1::-1]}")
            masks.append(labels.T > 0)
        spacing = (sizes[1], sizes[0]) if len(sizes) > 1 else None
        return Sample.of(image, np.stack(masks), id=entry.id, group=entry.group, spacing=spacing)


def _images(root: Path) -> list[Path]:
    return sorted(root.rglob("case*/image.nii.gz"))


def _split_of(root: Path, image: Path) -> str | None:
    """By the names of the folders between the root and the case."""
    folders = {folder.lower() for folder in image.relative_to(root).parts[:-2]}
    return next((split for split, names in _PARTS.items() if not folders.isdisjoint(names)), None)


def _collect(
    root: Path, image: Path, wanted: int | None, entries: list[_Task], problems: list[DataError]
) -> None:
    case = image.parent
    group = case.relative_to(root).as_posix() if case != root else case.name
    tasks: dict[int, list[Path]] = {}
    for path in sorted(case.glob("task*.nii.gz")):
        match = _LABEL.match(path.name)
        if match is None:
            problems.append(DataError(path, "is not named task<nn>_seg<nn>.nii.gz"))
        else:
            tasks.setdefault(int(match["task"]), []).append(path)
    if not tasks:
        problems.append(DataError(case, "has an image and no task<nn>_seg<nn>.nii.gz"))
    for number, masks in sorted(tasks.items()):
        if wanted in (None, number):
            entries.append(_Task(f"{group}/task{number:02d}", group, image, tuple(masks)))


def _picture(path: Path, values: NDArray[Any]) -> NDArray[np.float32]:
    """[W, H], [C, W, H] or [W, H, C] -> float32 [H, W, 3]."""
    values = np.squeeze(values)
    if values.ndim == 2:
        values = values[None]
    elif values.ndim == 3 and values.shape[2] <= _CHANNELS < values.shape[0]:
        values = np.moveaxis(values, 2, 0)
    if values.ndim != 3 or values.shape[0] > _CHANNELS:
        raise DataError(path, f"is {values.shape}, expected a picture [W, H] of up to {_CHANNELS} modalities")
    channels = [scaled(plane.T, *np.percentile(plane, (0.5, 99.5)).tolist()) for plane in values[:3]]
    while len(channels) < 3:
        channels.append(channels[-1])
    return np.stack(channels, axis=2)
