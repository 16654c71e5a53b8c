"""Splits that keep groups together, written down so that anyone can have the same ones."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from asam.data.base import ArrayDataset, encoded
from asam.data.errors import DataError
from asam.data.files import check_regular, write_json
from asam.data.sample import Dataset, Sample

__all__ = ["Manifest", "Scheme", "Subset", "make_split", "spread"]

Scheme = Literal["group", "index-order"]

_FORMAT: Final = 1
_AGAIN: Final = "make it again: asam data split"
_DEFAULT: Final[dict[str, float]] = {"train": 0.6, "validate": 0.2, "test": 0.2}


def spread(length: int, count: int | None) -> list[int]:
    """Up to ``count`` places, evenly spread over ``length``; None takes all."""
    few = length if count is None else min(count, length)
    places: list[int] = np.linspace(0, length - 1, few).round().astype(int).tolist()
    return places


class Subset(ArrayDataset[Sample]):
    """Some samples of a data set, in the order of `indices`."""

    def __init__(self, data: Dataset[Sample], indices: Sequence[int]) -> None:
        ids, groups = data.ids, data.groups
        super().__init__(ids=[ids[i] for i in indices], groups=[groups[i] for i in indices])
        self.data, self.indices = data, tuple(indices)

    def _load(self, index: int) -> Sample:
        return self.data[self.indices[index]]


@dataclass(frozen=True)
class Manifest:
    """Which sample is in which split.

    Attributes:
        name: of the data set.
        scheme: "group" or "index-order".
        seed: of the scheme "group".
        splits: split -> ids, in the data set's order.
    """

    name: str
    scheme: str
    seed: int
    splits: Mapping[str, tuple[str, ...]]

    @property
    def sha256(self) -> str:
        """Of the splits' names and ids, whatever the file's layout."""
        content = json.dumps({name: list(ids) for name, ids in self.splits.items()}, sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()

    def save(self, path: str | Path) -> None:
        """Writes the manifest as JSON."""
        content = {
            "format": _FORMAT,
            "dataset": self.name,
            "scheme": self.scheme,
            "seed": self.seed,
            "sha256": self.sha256,
            "splits": {name: list(ids) for name, ids in self.splits.items()},
        }
        write_json(Path(path), content)

    @classmethod
    def load(cls, path: str | Path) -> Manifest:
        """Reads a manifest and verifies its hash.

        Raises:
            DataError: missing, damaged, edited by hand, or with an id twice.
        """
        where = Path(path)
        check_regular(where)
        try:
            content: Any = json.loads(where.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(where, f"is not a split manifest ({error})", _AGAIN) from error
        if (problem := _wrong(content)) is not None:
            raise DataError(where, f"is not a split manifest: {problem}", _AGAIN)
        splits = {name: tuple(ids) for name, ids in content["splits"].items()}
        manifest = cls(content["dataset"], content["scheme"], content["seed"], splits)
        if manifest.sha256 != content["sha256"]:
            said = content["sha256"][:12]
            raise DataError(where, f"ids have the hash {manifest.sha256[:12]}, the file says {said}", _AGAIN)
        return manifest

    def select(self, data: Dataset[Sample], split: str) -> Subset:
        """The samples of one split.

        Raises:
            ValueError: no such split, or the data set lacks an id that the manifest names.
        """
        if split not in self.splits:
            raise ValueError(f"split: expected one of {', '.join(self.splits)}, got {split!r}")
        place = {name: index for index, name in enumerate(data.ids)}
        missing = [name for name in self.splits[split] if name not in place]
        if missing:
            raise ValueError(
                f"the manifest names {len(missing)} ids that the data set lacks ({missing[0]}, ...): "
                "it was made for other files or options"
            )
        return Subset(data, [place[name] for name in self.splits[split]])


def _wrong(content: Any) -> str | None:
    """What is wrong with the content of a manifest's file, in words."""
    if not isinstance(content, dict):
        return f"expected a JSON object, got {type(content).__name__}"
    if (version := content.get("format")) != _FORMAT or isinstance(version, bool):
        return f"is of format {version!r:.40}, expected {_FORMAT}"
    for name, kind in (("dataset", str), ("scheme", str), ("seed", int), ("sha256", str), ("splits", dict)):
        value = content.get(name)
        if not isinstance(value, kind) or isinstance(value, bool):
            return f"{name}: expected {kind.__name__}, got {value!r:.40}"
    seen: dict[str, str] = {}
    for split, ids in content["splits"].items():
        if not isinstance(ids, list) or not all(isinstance(one, str) for one in ids):
            return f"splits: expected a list of ids for {split}, got {ids!r:.40}"
        for one in ids:
            if one in seen:
                return f"expected each id once, got {one!r} in {seen[one]} and again in {split}"
            seen[one] = split
    return None


def make_split(
    data: Dataset[Sample],
    *,
    name: str = "",
    scheme: Scheme = "group",
    seed: int = 0,
    fractions: Mapping[str, float] = _DEFAULT,
) -> Manifest:
    """Divides a data set.

    "group" keeps every group (patient) whole: groups in the order of sha256(seed, group) fill one split after
    the other up to its share of the samples. "index-order" cuts the list of samples at the shares, as the
    published A-SAM code does, with patients in several splits: for comparison with published numbers only.

    Args:
        data: its ids and groups are used; no sample is read.
        name: kept in the manifest.
        scheme: see above.
        seed: of the scheme "group", 0 or more.
        fractions: split -> share; they sum to 1.
    """
    if seed < 0:
        raise ValueError(f"seed: expected a whole number >= 0, got {seed}")
    if scheme not in ("group", "index-order"):
        raise ValueError(f"scheme: expected 'group' or 'index-order', got {scheme!r}")
    if not fractions or min(fractions.values()) < 0 or abs(sum(fractions.values()) - 1) > 1e-6:
        raise ValueError(f"fractions: expected shares >= 0 that sum to 1, got {dict(fractions)}")
    if len(set(data.ids)) != len(data):
        raise ValueError("the data set has ids that occur twice, so that no manifest can name its samples")
    if scheme == "index-order":
        units = [[index] for index in range(len(data))]
    else:
        members: dict[str, list[int]] = defaultdict(list)
        for index, group in enumerate(data.groups):
            members[group].append(index)
        ordered = sorted(members, key=lambda group: hashlib.sha256(encoded(f"{seed}:{group}")).digest())
        units = [members[group] for group in ordered]
    splits: dict[str, list[int]] = {key: [] for key in fractions}
    bounds = [0.0]
    for share in fractions.values():
        bounds.append(bounds[-1] + share * len(data))
    done, current = 0, 0
    keys = list(fractions)
    for unit in units:
        # A unit goes where its middle lies, so that large groups miss the shares by half their size at most.
        middle = done + len(unit) / 2
        while current < len(keys) - 1 and middle > bounds[current + 1]:
            current += 1
        splits[keys[current]].extend(unit)
        done += len(unit)
    named = {key: tuple(data.ids[index] for index in sorted(indices)) for key, indices in splits.items()}
    return Manifest(name, scheme, seed, named)
