"""What divides the data that models are judged on, beside what divided them when the models were trained."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, get_args

if TYPE_CHECKING:
    from asam.data import Dataset, Sample, Scheme


class Judging(Protocol):
    """Options that say which samples are judged."""

    @property
    def data(self) -> str: ...
    @property
    def root(self) -> Path | None: ...
    @property
    def split(self) -> str: ...
    @property
    def split_scheme(self) -> Scheme | None: ...
    @property
    def manifest(self) -> Path | None: ...
    @property
    def size(self) -> int | None: ...
    @property
    def limit(self) -> int | None: ...


@dataclass(frozen=True)
class Division:
    """A manifest, or where there is none a scheme, which data with splits of its own has no use for."""

    scheme: Scheme
    manifest: Path | None = None

    def of(self, args: Judging) -> str:
        """What makes the splits of the data: equal texts divide it alike."""
        from asam.data.registry import divided_by

        return divided_by(args.data, args.root, self.scheme, self.manifest)


def divided(division: str) -> str:
    """What divided the data, as tables say it."""
    from asam.data import Scheme

    return f"by {division}" if division in get_args(Scheme) else division


def divisions_of(args: Judging, models: Sequence[Path]) -> dict[Path, Division]:
    """How the runs of the models divided this data, where that is known; a manifest that is gone is told."""
    found = {}
    for model in models:
        division = _of_run(model, args.data)
        if division is None:
            continue
        if division.manifest is None or division.manifest.is_file():
            found[model] = division
        else:
            _tell(
                f"warning: {model} was trained on a split of {division.manifest}, which is not there: samples that it "
                "was trained on may be among those that it is judged on; name the file by --manifest"
            )
    return found


def chosen(args: Judging, runs: Mapping[Path, Division], default: Scheme) -> Division:
    """What is asked for, else what the runs agree on, else ``default``."""
    if args.manifest is not None:
        return Division("group", args.manifest)
    agreed = set(runs.values())
    if args.split_scheme is None and len(agreed) == 1:
        return agreed.pop()
    return Division(args.split_scheme or default)


def tell_division(
    args: Judging,
    data: Dataset[Sample],
    taken: Division,
    runs: Mapping[Path, Division],
    default: Scheme,
) -> None:
    """Say on standard error where an option has no effect, the runs were followed, or judged samples trained on."""
    division = taken.of(args)
    if args.split_scheme is not None and division != args.split_scheme:
        _tell(f"warning: --split-scheme has no effect: the splits of {args.data} are {division}")
    if args.split_scheme is None and args.manifest is None and division != Division(default).of(args):
        otherwise = "" if taken.manifest else f"; the protocol would divide it by {default}"
        _tell(f"note: {args.data} is divided by {division}, as the run was{otherwise}")
    for model, own in runs.items():
        if own.of(args) == division or not (trained := _trained_on(args, own, data)):
            continue
        way = f"--manifest {own.manifest}" if own.manifest else f"--split-scheme {own.scheme}"
        if own.manifest is None and taken.manifest is not None:
            way = "judging without --manifest"
        _tell(
            f"warning: {trained} of the {len(data)} samples of split {args.split}, {divided(division)}, are among "
            f"those that {model} was trained on, {divided(own.of(args))}; {way} leaves them out"
        )


def _of_run(model: Path, data: str) -> Division | None:
    """Of the run that a checkpoint or an engine lies in; None where none with this data is known."""
    from asam.data import Scheme

    try:
        source = json.loads((model.parent / "config.json").read_text(encoding="utf-8"))["source"]
        if source["data"] != data:
            return None
        if (manifest := source.get("manifest")) is not None:
            return Division("group", Path(manifest))
        # Runs made before it was a choice divided by group.
        found = source.get("split_scheme", "group")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    return next((Division(scheme) for scheme in get_args(Scheme) if scheme == found), None)


def _trained_on(args: Judging, own: Division, data: Dataset[Sample]) -> int:
    """How many samples are in the training split of another division."""
    from asam.data import open_dataset

    trained = open_dataset(args.data, args.root, "train", scheme=own.scheme, manifest=own.manifest)
    return len({*trained.ids} & {*data.ids})


def _tell(line: str) -> None:
    print(line, file=sys.stderr)
