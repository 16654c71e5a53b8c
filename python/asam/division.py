"""What divided the data that a model was trained on: its engine carries it, or the run that it lies in knows it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from asam.assets import NANO
from asam_trt.bundle import SPLIT, read_manifest

if TYPE_CHECKING:
    from asam.data import Scheme
    from asam.data.splits import Manifest

SPLITS_SHA256 = "manifest_sha256"  # in a run's config.json: of the splits that it was trained by


@dataclass(frozen=True)
class Division:
    """A manifest, or where there is none a scheme, which data with splits of its own has no use for.

    Attributes:
        data: name of the data set.
        scheme: see :func:`asam.data.make_split`.
        manifest: file of the splits, which may be gone.
        trained_by: sha256 of the splits at the training, where that was written down.
    """

    data: str
    scheme: Scheme
    manifest: Path | None = None
    trained_by: str | None = field(default=None, compare=False)

    def by(self, root: Path | None) -> str:
        """What makes the splits of the data in ``root``, in words."""
        from asam.data.registry import divided_by

        return divided_by(self.data, root, self.scheme, self.manifest)

    def sha256(self) -> str | None:
        """Of the manifest's splits, by which one file is known wherever it lies; None without one."""
        return None if self.manifest is None else self.splits().sha256

    def is_certain(self) -> bool:
        """Whether this is known to be the division of the training; raises as :meth:`splits`."""
        return self.manifest is None or self.sha256() == self.trained_by

    def has_changed(self) -> bool:
        """Whether the manifest is known to be another than that of the training; raises as :meth:`splits`."""
        return self.trained_by is not None and not self.is_certain()

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
    """Of the run whose config.json lies beside a checkpoint; None where there is none, or one that does not say.

    Of a manifest the run's own copy is taken, where it has one.
    """
    if file.resolve() == NANO.resolve():
        return Division("synthetic:mix", "group")
    try:
        source = source_of(file)
        manifest, sha256 = source.get("manifest"), source.get(SPLITS_SHA256)
        # Runs made before it was a choice divided by group.
        return _division(
            source["data"],
            source.get("split_scheme", "group"),
            None if manifest is None else manifest_of_run(file.parent, Path(manifest), sha256),
            sha256,
        )
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None


def source_of(checkpoint: Path) -> dict[str, Any]:
    """Where the data of a checkpoint's run came from, as the config.json beside it says.

    Raises:
        OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError: it does not say so.
    """
    found = json.loads((checkpoint.parent / "config.json").read_text(encoding="utf-8"))
    return dict(found["source"].items())


def manifest_of_run(run: Path, named: Path, sha256: str | None) -> Path:
    """A run's own copy of the manifest that it was given; the file itself where an older run has none."""
    copy = run / SPLIT
    # Whatever file of that name lies in an older run's folder is somebody else's.
    return copy if sha256 is not None and copy.is_file() else named


def recorded(division: Division, splits: Manifest | None) -> dict[str, Any]:
    """What an engine's manifest says of the division; ``splits`` lie beside it, None where their file was gone."""
    named = None
    if division.manifest is not None:
        # The name alone: an engine does not tell where it was built.
        certain = splits is not None and splits.sha256 == division.trained_by
        sha256 = division.trained_by if splits is None else splits.sha256
        named = {"name": division.manifest.name, "sha256": sha256, "certain": certain}
    return {"data": division.data, "split_scheme": division.scheme, "manifest": named}


def _of_engine(folder: Path) -> Division | None:
    try:
        found = read_manifest(folder)["source"]["division"]
        named = found["manifest"]
        file = None if named is None else folder / SPLIT
        # Older engines took whatever file there was when they were built.
        sha256 = named["sha256"] if named is not None and named.get("certain") else None
        return _division(found["data"], found["split_scheme"], file, sha256)
    except (LookupError, TypeError, AttributeError):  # none, or one of a later version
        return None


def _division(data: Any, scheme: Any, manifest: Path | None, sha256: Any) -> Division | None:
    from asam.data import Scheme

    known = next((one for one in get_args(Scheme) if one == scheme), None)
    if not isinstance(data, str) or known is None:
        return None
    return Division(data, known, manifest, sha256 if isinstance(sha256, str) else None)
