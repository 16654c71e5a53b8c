"""What the checkpoints were trained on that a run started from: kept beside its config.json, and in its engines."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from asam.assets import NANO, checkpoint_file
from asam.division import of_checkpoint, source_of
from asam_trt.bundle import STARTS, read_manifest

_UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Start:
    """The training of a checkpoint that a run started from.

    Attributes:
        checkpoint: its file's name.
        data: name of the data set; None where nothing is known of the training.
        scheme: that divided the data, where no manifest did.
        train: ids of the samples, where a manifest divided the data and could be read.
        samples: sha256 of the training data, where that was written down.
        certain: whether it is known that this was the division of the training.
    """

    checkpoint: str
    data: str | None = None
    scheme: str | None = None
    train: tuple[str, ...] | None = None
    samples: str | None = None
    certain: bool = False


def of_start(checkpoint: Path) -> tuple[Start, ...]:
    """For a run that starts from a checkpoint: its training, then those of what it started from itself."""
    return (_training(checkpoint), *of_model(checkpoint))


def of_model(model: Path) -> tuple[Start, ...]:
    """What the run of a checkpoint or an engine started from, the nearest first; none where it started from none."""
    if model.resolve() == NANO.resolve():
        return ()
    try:
        # Older engines say nothing of it: what is known of them is what their run knows.
        if model.is_dir() and "starts" in read_manifest(model)["source"]:
            return read(model / STARTS) if (model / STARTS).is_file() else ()
        start = source_of(model).get("start")
        if start is None:
            return ()
        if (file := model.parent / STARTS).is_file():
            return read(file)
        if checkpoint_file(Path(start)).resolve() == NANO.resolve():
            return (_training(NANO),)
        return (Start(Path(start).name),)  # an older run, which kept the name alone
    except _UNREADABLE:
        return ()


def save(starts: Sequence[Start], path: Path) -> None:
    """Write them as JSON."""
    from asam.data.files import write_json

    write_json(path, {"format": 1, "starts": [asdict(start) for start in starts]})


def read(path: Path) -> tuple[Start, ...]:
    """What `save` wrote; where that is damaged, one of which nothing is known."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] == 1:
            return tuple(_start(one) for one in content["starts"])
    except _UNREADABLE:
        pass
    return (Start(f"what {path} does not say"),)


def _training(checkpoint: Path) -> Start:
    if (division := of_checkpoint(checkpoint)) is None:
        return Start(checkpoint.name)
    if checkpoint.resolve() == NANO.resolve():
        return Start(checkpoint.name, division.data, division.scheme, certain=True)
    samples = source_of(checkpoint).get("samples_sha256")
    known = {"checkpoint": checkpoint.name, "data": division.data, "samples": samples}
    if division.manifest is None:
        return _start({**known, "scheme": division.scheme, "train": None, "certain": True})
    try:
        splits, certain, changed = division.splits(), division.is_certain(), division.has_changed()
    except (OSError, ValueError):
        return _start({**known, "scheme": None, "train": None, "certain": False})
    train = None if changed else splits.splits.get("train", ())
    return _start({**known, "scheme": None, "train": train, "certain": certain})


def _start(found: dict[str, Any]) -> Start:
    train = found["train"]
    return Start(
        checkpoint=str(found["checkpoint"]),
        data=_text(found["data"]),
        scheme=_text(found["scheme"]),
        train=None if train is None else tuple(map(str, train)),
        samples=_text(found["samples"]),
        certain=found["certain"] is True,
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None
