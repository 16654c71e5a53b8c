"""BraTS 2017: {HGG,LGG}/<id>/<id>_{t1,t1ce,t2,flair,seg}.nii.gz, 240 x 240 x 155, labels 0, 1, 2, 4."""

from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from asam.data.errors import DataError
from asam.data.files import FileDataset, listing, write_json
from asam.data.sample import Promise, Sample
from asam_trt.files import replacing
from asam_trt.intensities import scaled
from asam_trt.nifti_files import read_nifti
from asam_trt.numpy_files import map_npy

__all__ = ["MODALITIES", "Brats2017"]

MODALITIES: Final = ("t1", "t1ce", "t2", "flair")
_LABELS: Final = (0, 1, 2, 4)
_KEPT: Final = 2  # decoded volumes in memory, about 35 MB each
_EXPECTED = "HGG/<id>/<id>_{t1,t1ce,t2,flair,seg}.nii.gz (and LGG)"


@dataclass(frozen=True)
class _Slice:
    id: str
    group: str
    case: Path
    k: int
    spacing: tuple[float, float]


@dataclass(frozen=True)
class _Volume:
    image: NDArray[np.uint8]  # [D, H, W, 3]
    labels: NDArray[np.uint8]  # [D, H, W]


class Brats2017(FileDataset[_Slice]):
    """Axial slices with three nested masks, grouped by patient.

    Our rule, as none is published: ET = label 4, TC = 1 or 4, WT = 1, 2 or 4; masks in this order, so that
    each is a subset of the next, with equal weights; a class with no pixel in the slice is the empty mask.
    Every modality is scaled by the 0.5th and 99.5th percentile of the volume's non-zero voxels.

    Volumes are compressed as a whole. Visiting slices in order decodes each once; for random order give
    `cache`, where every decoded volume is left uncompressed (about 35 MB a patient) and mapped from then on.

    Args:
        root: folder with HGG and LGG (or one of them, or the patients themselves).
        channels: the three modalities that become red, green and blue.
        slices: "tumour" (those with any label) or "all".
        cache: folder for decoded volumes and for the list of tumour slices; making it reads every seg file.
        report: see `FileDataset`.

    Raises:
        ImportError: nibabel is not installed.
    """

    def __init__(
        self,
        root: str | Path,
        *,
        channels: tuple[str, str, str] = ("flair", "t1ce", "t2"),
        slices: Literal["tumour", "all"] = "tumour",
        cache: str | Path | None = None,
        report: list[DataError] | None = None,
    ) -> None:
        if len(channels) != 3 or not set(channels) <= set(MODALITIES):
            raise ValueError(f"channels: expected three of {', '.join(MODALITIES)}, got {channels!r}")
        if slices not in ("tumour", "all"):
            raise ValueError(f"slices: expected 'tumour' or 'all', got {slices!r}")
        self._channels = tuple(channels)
        self._cache = None if cache is None else Path(cache)
        self._volumes: OrderedDict[Path, _Volume] = OrderedDict()
        entries: list[_Slice] = []
        problems: list[DataError] = []
        for case in _cases(Path(root)):
            lost = [_file(case, kind) for kind in (*MODALITIES, "seg") if not _file(case, kind).is_file()]
            problems.extend(DataError(path, "not found") for path in lost)
            if lost:
                continue
            try:
                depth, marked, spacing = self._survey(case)
            except DataError as error:
                problems.append(error)
                continue
            chosen = marked if slices == "tumour" else range(depth)
            entries.extend(_Slice(f"{case.name}/{k:03d}", case.name, case, k, spacing) for k in chosen)
        super().__init__(Path(root), entries, problems, report=report, expected=_EXPECTED)

    @staticmethod
    def detect(root: Path) -> bool:
        """Whether a path looks like this format."""
        return bool(_cases(root))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_volumes": OrderedDict()}

    def _survey(self, case: Path) -> tuple[int, list[int], tuple[float, float]]:
        """Depth, the slices with a label, and the spacing (row, column)."""
        seg = _file(case, "seg")
        kept = None if self._cache is None else self._cache / f"{case.name}.json"
        stamp = [seg.stat().st_size, seg.stat().st_mtime_ns]
        if kept is not None and kept.is_file():
            try:
                known = json.loads(kept.read_text(encoding="utf-8"))
                if known["seg"] == stamp:
                    return known["depth"], known["marked"], tuple(known["spacing"])
            except (ValueError, KeyError, TypeError):
                pass  # not ours or half copied: made again below
        found = read_nifti(seg)
        labels, sizes = found.values, found.zooms
        _check_labels(seg, labels)
        marked = np.flatnonzero(labels.any(axis=(0, 1))).tolist()
        spacing = (float(sizes[1]), float(sizes[0]))
        if kept is not None:
            write_json(kept, {"seg": stamp, "depth": labels.shape[2], "marked": marked, "spacing": spacing})
        return labels.shape[2], marked, spacing

    def _load(self, index: int) -> Sample:
        entry = self.entries[index]
        volume = self._volume(entry.case)
        labels = np.asarray(volume.labels[entry.k])
        core = labels == 4
        masks = np.stack([core, core | (labels == 1), labels > 0])
        return Sample.of(
            np.array(volume.image[entry.k]),
            masks,
            id=entry.id,
            group=entry.group,
            promise=Promise.NESTED,
            spacing=entry.spacing,
        )

    def _volume(self, case: Path) -> _Volume:
        volume = self._volumes.pop(case, None) or self._mapped(case) or self._decode(case)
        self._volumes[case] = volume
        while len(self._volumes) > _KEPT:
            self._volumes.popitem(last=False)
        return volume

    def _kept(self, case: Path) -> Path | None:
        name = f"{case.name}_{'-'.join(self._channels)}.npy"
        return None if self._cache is None else self._cache / name

    def _mapped(self, case: Path) -> _Volume | None:
        path = self._kept(case)
        if path is None or not path.is_file():
            return None
        newest = max(_file(case, kind).stat().st_mtime_ns for kind in (*self._channels, "seg"))
        if path.stat().st_mtime_ns < newest:
            return None
        try:
            stack = map_npy(path)
        except ValueError:
            return None  # damaged: decoded again
        if stack.ndim != 4 or stack.shape[3] != 4 or stack.dtype != np.uint8:
            return None
        return _Volume(stack[..., :3], stack[..., 3])

    def _decode(self, case: Path) -> _Volume:
        seg = _file(case, "seg")
        labels = read_nifti(seg).values
        _check_labels(seg, labels)
        stack = np.empty((*labels.shape[::-1], 4), dtype=np.uint8)
        for channel, kind in enumerate(self._channels):
            path = _file(case, kind)
            values = read_nifti(path).values
            if values.shape != labels.shape:
                raise DataError(path, f"is {values.shape}, its seg {labels.shape}")
            stack[..., channel] = _to_bytes(values).T
        stack[..., 3] = labels.T
        path_kept = self._kept(case)
        if path_kept is not None:
            _save(path_kept, stack)
        return _Volume(stack[..., :3], stack[..., 3])


def _cases(root: Path) -> list[Path]:
    found = []
    for folder in (root / "HGG", root / "LGG", root):
        for case in listing(folder):
            if case.is_dir() and any(_file(case, kind).is_file() for kind in (*MODALITIES, "seg")):
                found.append(case)
    return found


def _file(case: Path, kind: str) -> Path:
    return case / f"{case.name}_{kind}.nii.gz"


def _check_labels(path: Path, labels: NDArray[Any]) -> None:
    if labels.ndim != 3:
        raise DataError(path, f"expected a volume [W, H, D], got {labels.shape}")
    unknown = sorted(set(np.unique(labels).tolist()) - set(_LABELS))
    if unknown:
        raise DataError(path, f"holds the labels {unknown[:5]}, expected only 0, 1, 2 and 4")


def _to_bytes(values: NDArray[Any]) -> NDArray[np.uint8]:
    brain = values[values != 0]
    low, high = np.percentile(brain, (0.5, 99.5)) if brain.size else (0.0, 1.0)
    seen = scaled(values, float(low), float(high))
    seen[values == 0] = 0
    return np.asarray(seen * np.float32(255) + np.float32(0.5), dtype=np.float32).astype(np.uint8)


def _save(path: Path, array: NDArray[np.uint8]) -> None:
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, array)
