"""What an engine knows of the data that its model was trained on: without, nobody could tell later which images of a
data set it may be judged on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asam_trt import bundle
from asam_trt.errors import EngineError

if TYPE_CHECKING:
    from asam.data.splits import Manifest
    from asam.starts import Start


@dataclass(frozen=True)
class TrainedOn:
    """What an engine carries of a training.

    Attributes:
        division: what divided the data, as the engine's manifest says it; None where that is not known.
        splits: where a file has them that was there.
        starts: what the checkpoints were trained on that the run started from.
    """

    division: dict[str, Any] | None = None
    splits: Manifest | None = None
    starts: tuple[Start, ...] = ()

    def source(self) -> dict[str, Any]:
        """For the engine's manifest, which must stay small: ids are in files beside it."""
        names = [
            {"checkpoint": one.checkpoint, "data": one.data, "certain": one.certain} for one in self.starts
        ]
        return {"division": self.division, "starts": names}

    def save(self, folder: Path) -> None:
        """Write the files."""
        from asam.starts import save

        if self.splits is not None:
            self.splits.save(folder / bundle.SPLIT)
        if self.starts:
            save(self.starts, folder / bundle.STARTS)


def trained_on(checkpoint: Path, sha256: str, target: Path, step: Callable[[str], None]) -> TrainedOn:
    """What the checkpoint's run knows; where that is gone, what the same checkpoint's engine at ``target`` knew."""
    from asam.division import of_checkpoint, recorded
    from asam.starts import of_model

    division, splits, lost = of_checkpoint(checkpoint), None, None
    if division is not None and division.manifest is not None:
        try:
            splits = division.splits()
            if division.has_changed():
                splits, lost = None, f"{division.manifest} has changed since the training"
            elif not division.is_certain():
                step(f"it is not certain that {division.manifest} is still as it was at the training")
        except (OSError, ValueError) as error:
            lost = str(error)
    if division is not None and lost is None:
        return TrainedOn(recorded(division, splits), splits, of_model(checkpoint))
    if (kept := _of_engine(target, sha256)) is not None:
        step(f"the engine keeps what it knows of the training: {lost or 'the run says nothing of it'}")
        return kept
    if division is None:
        return TrainedOn()
    step(f"the engine will not know the splits that its model was trained on: {lost}")
    return TrainedOn(recorded(division, None), None, of_model(checkpoint))


def _of_engine(target: Path, sha256: str) -> TrainedOn | None:
    """None where the engine is of another checkpoint, damaged, or knows nothing that the run would not say too."""
    from asam.data.splits import Manifest
    from asam.starts import of_model

    try:
        source = bundle.read_manifest(target)["source"]
        if source.get("sha256") != sha256 or (division := source.get("division")) is None:
            return None
        bundle.EngineBundle.open(target)  # its files are as they were built
        known = TrainedOn(division, None, of_model(target))
        if division["manifest"] is None:
            return known
        return replace(known, splits=Manifest.load(target / bundle.SPLIT))
    except (EngineError, OSError, ValueError, LookupError, TypeError):
        return None
