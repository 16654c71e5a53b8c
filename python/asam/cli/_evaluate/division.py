"""What divides the data that models are judged on, beside what divided them when the models were trained."""

from __future__ import annotations

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, get_args

from asam.division import Division, of_model

if TYPE_CHECKING:
    from asam.data import Dataset, Sample, Scheme

WHOLE = ("all", "train")  # of these nobody expects samples that no model was trained on


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
class Trainings:
    """What is known of the data that models were trained on.

    Attributes:
        runs: how those that were trained on this data divided it.
        unknown: models that say nothing of their training.
        unsure: models whose run names a manifest that is gone, or has changed since.
    """

    runs: Mapping[Path, Division]
    unknown: tuple[Path, ...]
    unsure: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Judged:
    """Which samples were judged.

    Attributes:
        data, split: their names.
        division: what makes the splits, in words.
        manifest_sha256: of the splits of a manifest; None where none divides.
        origin: who chose the division: "asked for", "run", "protocol", or "data" where nobody can.
        training_known: whether it is known of all models what divided their training data.
    """

    data: str
    split: str
    division: str
    manifest_sha256: str | None
    origin: str
    training_known: bool

    def __str__(self) -> str:
        """As tables say it."""
        return f"{self.data}, split {self.split} ({divided(self.division)})"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "name": self.data,
            "split": self.split,
            "split_scheme": self.division,
            "division": {
                "from": self.origin,
                "manifest_sha256": self.manifest_sha256,
                "training_known": self.training_known,
            },
        }


def divided(division: str) -> str:
    """What divided the data, as tables say it."""
    return f"by {division}" if _is_scheme(division) else division


def trainings_of(args: Judging, models: Sequence[Path]) -> Trainings:
    """How the runs of the models divided this data, where that is known; a manifest that is gone or damaged is told."""
    runs, unknown, unsure = {}, [], []
    for model in models:
        division = of_model(model)
        if division is None:
            unknown.append(model)
        elif division.data != args.data:
            continue
        elif (problem := _unreadable(division)) is None:
            runs[model] = division
            if division.has_changed():
                unsure.append(model)
        else:
            unsure.append(model)
            tell(
                f"warning: {model} was trained on a split of {division.manifest}, which {problem}: samples that it "
                "was trained on may be among those that it is judged on; name the file by --manifest"
            )
    return Trainings(runs, tuple(unknown), tuple(unsure))


def chosen(args: Judging, runs: Mapping[Path, Division], default: Scheme) -> tuple[Division, str]:
    """What is asked for, else what the runs agree on, else ``default``; and which of these it is."""
    if args.manifest is not None:
        return Division(args.data, "group", args.manifest), "asked for"
    if args.split_scheme is not None:
        return Division(args.data, args.split_scheme), "asked for"
    # A checkpoint and its engine name two files of the same splits.
    agreed = {division.sha256() or division.scheme: division for division in runs.values()}
    if len(agreed) == 1:
        return next(iter(agreed.values())), "run"
    return Division(args.data, default), "protocol"


def tell_division(
    args: Judging, data: Dataset[Sample], taken: Division, trained: Trainings, default: Scheme
) -> None:
    """Say on standard error where an option has no effect, the runs were followed, or judged samples trained on."""
    division, by_default = taken.by(args.root), Division(args.data, default).by(args.root)
    nothing_asked = args.split_scheme is None and args.manifest is None
    if args.split_scheme is not None and division != args.split_scheme:
        tell(f"warning: --split-scheme has no effect: the splits of {args.data} are {division}")
    if nothing_asked and division != by_default:
        otherwise = "" if taken.manifest else f"; the protocol would divide it by {default}"
        if taken.is_certain():
            tell(f"note: {args.data} is divided by {division}, as the run was{otherwise}")
        else:
            tell(_in_doubt(args, taken, division))
    if trained.unknown and nothing_asked and _is_scheme(division) and args.split not in WHOLE:
        tell(
            f"warning: what divided the data that {', '.join(map(str, trained.unknown))} learned from is not known: "
            f"samples of split {args.split}, {divided(division)}, may be among them; a checkpoint in its run's folder "
            "knows it, and an engine built from it there; --manifest and --split-scheme name it otherwise"
        )
    for model, own in trained.runs.items():
        if own.has_changed() and not nothing_asked:
            tell(
                f"warning: {own.manifest} has changed since {model} was trained by it: samples that it was trained on "
                "may be among those that it is judged on"
            )
            continue
        if own.by(args.root) == division or not (shared := _trained_on(args, own, data)):
            continue
        way = f"--manifest {own.manifest}" if own.manifest else f"--split-scheme {own.scheme}"
        if own.manifest is None and taken.manifest is not None:
            way = "judging without --manifest"
        tell(
            f"warning: {shared} of the {len(data)} samples of split {args.split}, {divided(division)}, are among "
            f"those that {model} was trained on, {divided(own.by(args.root))}; {way} leaves them out"
        )


def judged(
    args: Judging, taken: Division, origin: str, trained: Trainings, unsure: Collection[Path] = ()
) -> Judged:
    """What results say of the samples; ``unsure`` are models that started from one of which too little is known."""
    division = taken.by(args.root)
    free = _is_scheme(division) or taken.manifest is not None
    return Judged(
        data=args.data,
        split=args.split,
        division=division,
        manifest_sha256=taken.sha256(),
        origin=origin if free else "data",
        training_known=not (trained.unknown or trained.unsure or unsure),
    )


def _unreadable(division: Division) -> str | None:
    """What is wrong with the manifest of a run, in words; None where nothing is, or there is none."""
    if division.manifest is None:
        return None
    if not division.manifest.exists():
        return "is not there"
    try:
        division.splits()
    except (OSError, ValueError) as error:
        return f"cannot be used ({error})"
    return None


def _in_doubt(args: Judging, taken: Division, division: str) -> str:
    """That nobody can tell whether a manifest is that of the training."""
    said = f"{args.data} is divided by {division}, which the run names, but it is not certain that this is the division"
    if taken.trained_by is None:
        return f"note: {said} of the training: the run kept neither a copy of it nor its sha256"
    return (
        f"warning: {said} of the training, which had the sha256 {taken.trained_by[:12]}: samples that the model was "
        "trained on may be among those that it is judged on; name that file by --manifest"
    )


def _is_scheme(division: str) -> bool:
    from asam.data import Scheme

    return division in get_args(Scheme)


def _trained_on(args: Judging, own: Division, data: Dataset[Sample]) -> int:
    """How many samples are in the training split of another division."""
    from asam.data import open_dataset

    if own.manifest is not None:  # which may be of other data of this name, whose samples it lacks
        trained = own.splits().splits.get("train", ())
    else:
        trained = tuple(open_dataset(args.data, args.root, "train", scheme=own.scheme).ids)
    return len({*trained} & {*data.ids})


def tell(line: str) -> None:
    """A line on standard error, where the table is on standard output."""
    print(line, file=sys.stderr)
