"""What divided the data that a model was trained on: its engine carries it, or the run that it lies in knows it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from asam.assets import NANO
from asam_trt.bundle import SPLIT, read_manifest

if TYPE_CHECKING:
    from asam.data import Scheme
    from asam.data.splits import Manifest


@dataclass(frozen=True)
class Division:
    """A manifest, or where there is none a scheme, which data with splits of its own has no use for.

    Attributes:
        data: name of the data set.
        scheme: see :func:`asam.data.make_split`.
        manifest: file of the splits, which may be gone.
    """

    data: str
    scheme: Scheme
    manifest: Path | None = None

    def by(self, root: Path | None) -> str:
        """What makes the splits of the data in ``root``, in words."""
        from asam.data.registry import divided_by

        return divided_by(self.data, root, self.scheme, self.manifest)

    def sha256(self) -> str | None:
        """Of the manifest's splits, by which one file is known wherever it lies; None without one."""
        return None if self.manifest is None else self.splits().sha256

    def splits(self) -> Manifest:
        """Of a division by a manifest.

        Raises:
            DataError: the file is missing, damaged or edited by hand.
        """
        from asam.data.splits import Manifest

        assert self.manifest is not None
        return Manifest.load(self.manifest)


def of_model(model: Path) -> Division | None:
    """That an engine carries, else of the run that an engine or a checkpoint lies in; None where neither is known.

    Raises:
        EngineError: a folder that is no engine.
    """
    carried = _of_engine(model) if model.is_dir() else None
    return of_checkpoint(model) if carried is None else carried


def of_checkpoint(file: Path) -> Division | None:
    """Of the run whose config.json lies beside a checkpoint; None where there is none, or one that does not say."""
    if file.resolve() == NANO.resolve():
        return Division("synthetic:mix", "group")
    try:
        source = json.loads((file.parent / "config.json").read_text(encoding="utf-8"))["source"]
        manifest = source.get("manifest")
        # Runs made before it was a choice divided by group.
        return _division(
            source["data"], source.get("split_scheme", "group"), None if manifest is None else Path(manifest)
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def recorded(division: Division, splits: Manifest | None) -> dict[str, Any]:
    """What an engine's manifest says of the division; ``splits`` lie beside it, None where their file was gone."""
    named = None
    if division.manifest is not None:
        # The name alone: an engine does not tell where it was built.
        named = {"name": division.manifest.name, "sha256": None if splits is None else splits.sha256}
    return {"data": division.data, "split_scheme": division.scheme, "manifest": named}


def _of_engine(folder: Path) -> Division | None:
    try:
        found = read_manifest(folder)["source"]["division"]
        return _division(
            found["data"], found["split_scheme"], None if found["manifest"] is None else folder / SPLIT
        )
    except (LookupError, TypeError):  # none, or one of a later version
        return None


def _division(data: Any, scheme: Any, manifest: Path | None) -> Division | None:
    from asam.data import Scheme

    known = next((one for one in get_args(Scheme) if one == scheme), None)
    return Division(data, known, manifest) if isinstance(data, str) and known is not None else None
