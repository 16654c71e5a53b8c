"""Data sets by name, as the command line and configuration files ask for them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from asam.data.brats import Brats2017
from asam.data.bsds import Bsds500
from asam.data.davis import Davis
from asam.data.errors import DataError
from asam.data.folder import Folder
from asam.data.isic import Isic2016
from asam.data.lidc_cimd import LidcCimd
from asam.data.lidc_crops import LidcCrops
from asam.data.lidc_dicom import LidcDicom
from asam.data.lidc_phiseg import LidcPhiSeg
from asam.data.lidc_v1 import LidcV1
from asam.data.lidc_v2 import LidcV2
from asam.data.qubiq import Qubiq
from asam.data.sample import Dataset, Sample
from asam.data.sim10k import Sim10k, verified_list
from asam.data.splits import Manifest, Scheme, make_split
from asam.data.synthetic import KINDS, Synthetic

__all__ = [
    "FORMATS",
    "Format",
    "described",
    "detect",
    "divided_by",
    "held_out",
    "names",
    "open_dataset",
    "own_splits",
    "replaced",
]

SYNTHETIC: Final = "synthetic"

_PARTS_OF_TRAIN: Final = {"train": 0.8, "validate": 0.2}
_OWN: Final = "the files' own"
_HELD_OUT: Final = "the files' own, with a fifth of train, by group, for validation"

# Far apart, so that neighbouring seeds of the user's do not meet another split's.
_SPLIT_SEEDS: Final = {"train": 0, "validate": 1 << 32, "test": 2 << 32, "all": 0}


@dataclass(frozen=True)
class Format:
    """A layout of files.

    Attributes:
        load: the data set's class; called with root, `split` where the files have splits, and options.
        detect: whether a path looks like this layout.
        splits: of their own that these files come with, none where they do not; None where the layout never does.
    """

    load: Callable[..., Dataset[Sample]]
    detect: Callable[[Path], bool]
    splits: Callable[[Path], tuple[str, ...]] | None = None


def _always(*names: str) -> Callable[[Path], tuple[str, ...]]:
    return lambda root: names


# In the order of detection: a layout that another could be taken for comes first.
FORMATS: Final[dict[str, Format]] = {
    "lidc-crops": Format(LidcCrops, LidcCrops.detect, _always("train", "validate")),
    "lidc-v1": Format(LidcV1, LidcV1.detect),
    "lidc-phiseg": Format(LidcPhiSeg, LidcPhiSeg.detect, _always("train", "validate", "test")),
    "lidc-v2": Format(LidcV2, LidcV2.detect, LidcV2.splits),
    "lidc-cimd": Format(LidcCimd, LidcCimd.detect, LidcCimd.splits),
    "lidc-dicom": Format(LidcDicom, LidcDicom.detect),
    "brats2017": Format(Brats2017, Brats2017.detect),
    "isic2016": Format(Isic2016, Isic2016.detect, Isic2016.splits),
    "sim10k": Format(Sim10k, Sim10k.detect),
    "qubiq": Format(Qubiq, Qubiq.detect, Qubiq.splits),
    "bsds500": Format(Bsds500, Bsds500.detect, Bsds500.splits),
    "davis": Format(Davis, Davis.detect),
    "folder": Format(Folder, Folder.detect, Folder.splits),
}


def names() -> list[str]:
    """Every name that `open_dataset` knows, without the kinds of `synthetic:<kind>`."""
    return [*FORMATS, SYNTHETIC]


def described() -> dict[str, str]:
    """Every name that `open_dataset` knows, `synthetic:<kind>` one by one, and what it is in a line."""
    kinds = {f"{SYNTHETIC}:{kind}": target.__doc__ for kind, target in KINDS.items()}
    # A layout's module says what the data are, its class how they are read.
    layouts = {name: sys.modules[layout.load.__module__].__doc__ for name, layout in FORMATS.items()}
    lines = {name: (text or "").strip().partition("\n")[0] for name, text in {**layouts, **kinds}.items()}
    return {**lines, f"{SYNTHETIC}:mix": "All of these kinds, each sample of one."}


def detect(root: str | Path) -> str | None:
    """The name of the layout that a path has, or None."""
    path = Path(root)
    return next((name for name, layout in FORMATS.items() if layout.detect(path)), None)


def open_dataset(
    name: str,
    root: str | Path | None = None,
    split: str = "train",
    *,
    scheme: Scheme = "group",
    manifest: str | Path | None = None,
    **options: Any,
) -> Dataset[Sample]:
    """Opens a data set by its name.

    Where the files have splits of their own they are used; where these are without "validate", their "train" is
    divided 80/20 by group with seed 0. Else the set is divided 60/20/20 by `scheme` with seed 0 (`make_split`);
    `manifest` names another division, as `asam data split` writes it.

    Args:
        name: one of `names()`; `synthetic:<kind>` picks the kind.
        root: folder of the data set; not needed for `synthetic`.
        split: "train", "validate", "test" or "all", or a split of the manifest.
        scheme: of the division of files without splits; "index-order" mixes patients, see `make_split`.
        manifest: file of a split manifest.
        options: keyword arguments of that data set's class. `sim10k` keeps a list of the pairs that match by itself;
            `verified=None` takes them all.

    Raises:
        ValueError: an unknown name or split, no root where one is needed, or a manifest of a synthetic set.
        DataError: files that are missing or damaged.
    """
    base, _, kind = name.partition(":")
    if base == SYNTHETIC:
        if kind not in ("", "mix", *KINDS):
            kinds = ", ".join(f"{SYNTHETIC}:{known}" for known in (*KINDS, "mix"))
            raise ValueError(f"data: expected one of {kinds}, got {name!r}")
        if manifest is not None:
            raise ValueError(
                f"manifest: expected it with a data set of files, got it with {name}; leave it out"
            )
        return _synthetic(split, kind or options.pop("kind", "mix"), **options)
    if name not in FORMATS:
        known = ", ".join([*FORMATS, f"{SYNTHETIC}:<kind>"])
        raise ValueError(f"data: expected one of {known}, got {name!r}{_as_root(name)}")
    if root is None:
        raise ValueError(f"data: expected root= with {name!r}, the folder that holds it, got none")
    layout, path = FORMATS[name], Path(root)
    if layout.load is Sim10k:
        options.setdefault("verified", verified_list(path))
    if manifest is not None:
        division = Manifest.load(manifest)
        if division.name in FORMATS and division.name != name:  # other names are its maker's own
            raise DataError(
                manifest,
                f"expected a manifest of {name}, got one of {division.name}",
                "choose another, or other data",
            )
        return division.select(layout.load(path, **_everything(layout), **options), split)
    own = _own_splits(layout, path)
    if split in _PARTS_OF_TRAIN and _lacks_validation(own):
        trained = layout.load(path, split="train", **options)
        return make_split(trained, name=name, fractions=_PARTS_OF_TRAIN).select(trained, split)
    if own:
        return layout.load(path, split=split, **options)
    data = layout.load(path, **_everything(layout), **options)
    return data if split == "all" else make_split(data, name=name, scheme=scheme).select(data, split)


def _as_root(name: str) -> str:
    """What was meant, where a folder was given in place of a name; the empty string elsewhere."""
    if not os.path.isdir(name):
        return ""
    return f"; a folder of that name exists: data='{detect(name) or '<name>'}' root='{name}'"


def divided_by(name: str, root: str | Path | None, scheme: Scheme, manifest: str | Path | None = None) -> str:
    """What makes the splits: a manifest, the scheme, the files, they and a division of their train split, or seeds."""
    if manifest is not None:
        return f"the manifest {manifest}, sha256 {Manifest.load(manifest).sha256[:12]}"
    if name.partition(":")[0] == SYNTHETIC:
        return "a seed for each"
    own = () if root is None else _own_splits(FORMATS[name], Path(root))
    if _lacks_validation(own):
        return _HELD_OUT
    return _OWN if own else scheme


def held_out(name: str, root: str | Path | None, split: str) -> str | None:
    """In a line that a split is a part of the files' own train split; None where it is not."""
    if split not in _PARTS_OF_TRAIN or divided_by(name, root, "group") != _HELD_OUT:
        return None
    return f"note: {root} comes without a validation split: a fifth of its train split, by group, is held out for it"


def own_splits(name: str, root: str | Path) -> tuple[str, ...]:
    """The splits that a data set's files come with; none where they come without."""
    return _own_splits(FORMATS[name], Path(root))


def replaced(name: str, root: str | Path | None, manifest: str | Path | None) -> str | None:
    """In a line that a manifest replaces splits that the files have; None where it does not."""
    if manifest is None or root is None or name not in FORMATS or not (own := own_splits(name, root)):
        return None
    return f"note: the splits of {manifest} replace those that {root} comes with ({', '.join(own)})"


def _own_splits(layout: Format, root: Path) -> tuple[str, ...]:
    return () if layout.splits is None else layout.splits(root)


def _lacks_validation(own: tuple[str, ...]) -> bool:
    return "train" in own and "validate" not in own


def _everything(layout: Format) -> dict[str, str]:
    return {} if layout.splits is None else {"split": "all"}


def _synthetic(split: str, kind: str, seed: int = 0, **options: Any) -> Dataset[Sample]:
    if split not in _SPLIT_SEEDS:
        raise ValueError(f"split: expected one of {', '.join(_SPLIT_SEEDS)}, got {split!r}")
    return Synthetic(kind, seed=seed + _SPLIT_SEEDS[split], **options)
