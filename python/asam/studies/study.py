"""A study: variants of a network or of its training, each trained alike with several seeds, judged on the same data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from asam.data import Dataset, Sample, open_dataset
from asam.data.synthetic import MIX
from asam.evaluate.provenance import of_training
from asam_trt.kept import kept

ASAM_KIND: Final = "asam"
_SYNTHETIC: Final = "synthetic"
_MIX: Final = "synthetic:mix"


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One thing that is compared.

    Attributes:
        name: in tables, and of its runs' folders, <name>-<seed>.
        kind: "asam", or a name in :data:`asam.baselines.BASELINES`.
        model: fields of the network's configuration that differ from the study's.
        training: fields of :class:`asam.training.TrainConfig` that differ from the study's.
        judged_as: keys of :data:`asam.studies.judging.WAYS`, each a row: "prior" draws hypotheses from the network,
            "box shift" and "point shift" ask a network without ambiguity for one mask of each of n shifted prompts.
    """

    name: str
    kind: str = ASAM_KIND
    model: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    training: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    judged_as: tuple[str, ...] = ("prior",)


@dataclass(frozen=True, kw_only=True)
class Study:
    """What is trained on which data, and how it is judged.

    Attributes:
        name: "ablation", "peers" or one of the user's.
        variants: the first is the one that the others are compared with.
        seeds: of the runs.
        output: folder of the runs, of their figures and of the tables.
        data, root: training data, its split "train".
        length: samples of a synthetic training set.
        image_size: S in pixels; also the image side of synthetic sets.
        backbone: of A-SAM variants.
        training: fields of :class:`asam.training.TrainConfig` that all runs share.
        split: that is judged.
        counts: numbers of hypotheses.
        limit: samples judged in each data set, evenly spread; of a synthetic set its length.
        eval_seed: of prompts and hypotheses.
    """

    name: str
    variants: tuple[Variant, ...]
    seeds: tuple[int, ...]
    output: Path
    data: str
    root: Path | None = None
    length: int = 100_000
    image_size: int = 128
    backbone: str = "nano"
    training: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    split: str = "validate"
    counts: tuple[int, ...] = (16, 100)
    limit: int | None = None
    eval_seed: int = 0

    def __post_init__(self) -> None:
        names = [variant.name for variant in self.variants]
        if not names or len(set(names)) < len(names):
            raise ValueError(f"variants: expected at least one, each name once, got {names}")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds: expected at least one, each once, got {list(self.seeds)}")
        fixed = {"seed", "patience"} & ({*self.training} | {k for v in self.variants for k in v.training})
        if fixed:
            raise ValueError(f"training: a study sets {sorted(fixed)} itself, expected them left out")

    @property
    def judged(self) -> tuple[str, ...]:
        """Data sets that every run is judged on: of "synthetic:mix" each of its kinds by itself."""
        return (
            tuple(f"{_SYNTHETIC}:{kind}" for kind in MIX) if self.data in (_SYNTHETIC, _MIX) else (self.data,)
        )

    def training_data(self) -> Dataset[Sample]:
        """The split "train"."""
        return self._open(self.data, "train", self.length)

    @kept
    def training_sha256(self) -> str:
        """What :meth:`training_data` is known by, see :func:`asam.evaluate.provenance.of_training`."""
        return of_training(self.data, self.training_data())

    def judged_data(self, name: str) -> Dataset[Sample]:
        """The judged split of one of :attr:`judged`."""
        return self._open(name, self.split, self.limit or 100)

    def _open(self, name: str, split: str, length: int) -> Dataset[Sample]:
        synthetic = name.partition(":")[0] == _SYNTHETIC
        options: dict[str, Any] = {"length": length, "size": self.image_size} if synthetic else {}
        return open_dataset(name, self.root, split, **options)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        variants = [
            {**vars(v), "model": dict(v.model), "training": dict(v.training), "judged_as": list(v.judged_as)}
            for v in self.variants
        ]
        return {
            **{entry.name: getattr(self, entry.name) for entry in fields(self)},
            "variants": variants,
            "seeds": list(self.seeds),
            "output": str(self.output),
            "root": None if self.root is None else str(self.root),
            "training": dict(self.training),
            "counts": list(self.counts),
        }


def slug(name: str) -> str:
    """A name as part of a file's name."""
    return re.sub(r"[^A-Za-z0-9.+_-]+", "-", name)
