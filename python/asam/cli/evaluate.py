"""Judge a checkpoint or an engine on a data set: GED, HM-IoU, Dmax, Dmean with intervals.

More, each with options of its own (`asam evaluate compare --help`): compare, ablation, peers, robustness, sensitivity,
calibration, tables.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from asam.assets import checkpoint_file
from asam.cli._outputs import check_outputs, check_suffix, files_of_model
from asam.cli._questions import Encoder, Precision

if TYPE_CHECKING:
    from asam.evaluate import Protocol
    from asam.methods import Engine, Method, Prior

SUBCOMMANDS = ("ablation", "calibration", "compare", "peers", "robustness", "sensitivity", "tables")
"""First words that stand for a module of ``asam.cli._evaluate``."""

_SHEET_ROWS = 8
_RAN = ("backend", "isa", "precision", "encoder")


@dataclass(frozen=True)
class Args:
    """Options of ``asam evaluate``."""

    model: tuple[Path, ...]
    """Checkpoint (.safetensors, or "nano", which ships), or an engine folder (.asam); several checkpoints with the
    protocol a2sam only."""
    data: str
    """Data set by name, such as lidc-crops or synthetic:mix."""
    epochs: tuple[int, ...] = ()
    """Of a file of published weights: one epoch, or with the protocol a2sam several; by default the last one."""
    root: Path | None = None
    """Folder that holds the data set."""
    split: str = "validate"
    """train, validate or test, or another split that the files have."""
    split_scheme: Literal["group", "index-order"] | None = None
    """How data without splits of its own is divided; index-order mixes patients. By default as the model's run divided
    it where that is known, by its config.json beside a checkpoint or by an engine itself, else as the protocol does."""
    manifest: Path | None = None
    """Division to take, a file of `asam data split`; it replaces the splits that the data come with, where they do. By
    default that of the model's run, where it had one."""
    size: int | None = None
    """Image side of a synthetic data set; by default 128."""
    protocol: Literal["strict", "a2sam"] = "strict"
    """strict: n = 16 and 100, one checkpoint, smallest box of all labels. a2sam: the published code's conventions."""
    n: tuple[int, ...] = ()
    """Hypotheses a sample, each number a row; by default the protocol's."""
    seed: int = 0
    """Of prompts, hypotheses, jitter and bootstrap."""
    limit: int | None = None
    """Look at this many samples only, evenly spread; by default all."""
    precision: Precision = "auto"
    encoder: Encoder = "auto"
    jitter: str = "train"
    """Perturbation of the prompt in the comparison without ambiguity (a single A-SAM checkpoint only)."""
    output: Path | None = None
    """Write the figures to this JSON file, and the table to a Markdown file beside it."""
    sheet: Path | None = None
    """Write a contact sheet of eight samples, their raters and eight hypotheses to this PNG file."""


def run(args: Args) -> int:
    """Evaluate and print a Markdown table."""
    from asam.cli._evaluate.common import check_running, described, open_judged, write_report
    from asam.evaluate import PROTOCOLS, check_asked, evaluate, markdown
    from asam.evaluate.provenance import of_software
    from asam.progress import bars

    args = replace(args, model=tuple(map(checkpoint_file, args.model)))
    check_suffix("--output", args.output, ".json")
    check_suffix("--sheet", args.sheet, ".png")
    table_file = None if args.output is None else args.output.with_suffix(".md")
    read = [file for path in args.model for file in files_of_model(path)]
    check_outputs((args.output, table_file, args.sheet), (*read, args.root))
    protocol = PROTOCOLS[args.protocol]
    for n in args.n:
        check_asked(n=n, limit=args.limit)
    check_running(args, args.model)
    opened = _opened(args, protocol)
    epochs = max(len(args.epochs), 1)
    models = [described(*pair) for pair in zip(args.model, opened[::epochs], strict=True)]
    methods = _methods(args, opened)
    data, judged = open_judged(args, args.model, default=protocol.split_scheme)
    reports = []
    with bars() as start:
        for method in methods:
            for n in args.n or protocol.counts:
                show = start(f"{method.name}, n = {n}")
                reports.append(
                    evaluate(
                        method, data, n=n, seed=args.seed, protocol=protocol, limit=args.limit, on_sample=show
                    )
                )
    named = ", ".join(map(_line, models))
    members = len(models) * epochs
    of_epochs = f", epochs {', '.join(map(str, args.epochs))}" if args.epochs else ""
    header = [
        f"data {judged}",
        f"checkpoints: {members}, {named}{of_epochs}",
    ]
    table = markdown(reports, header=header)
    print(table)
    if args.output is not None:
        document = {
            "protocol": protocol.name,
            "data": {**judged.to_dict(), "sha256": reports[0].data_sha256},
            "models": models,
            "checkpoints": members,
            "epochs": list(args.epochs),
            "software": of_software(),
            "reports": [report.to_dict() for report in reports],
        }
        print()
        write_report(args.output, document, table)
    if args.sheet is not None:
        from asam.studies.sheets import hypotheses_sheet

        hypotheses_sheet(args.sheet, methods[0], data, rows=_SHEET_ROWS, seed=args.seed, protocol=protocol)
        print(f"wrote {args.sheet}")
    return 0


def _line(model: Mapping[str, Any]) -> str:
    """A model with its hash and what ran it."""
    ran = ", ".join(f"{name} {model[name]}" for name in _RAN if name in model)
    return f"{model['name']} (sha256 {model['sha256']}; {ran})"


def _opened(args: Args, protocol: Protocol) -> list[Engine | Prior]:
    """Every model, of a file of published weights each of the epochs."""
    from asam.cli._evaluate.common import open_method
    from asam.prompts import PERTURBATIONS

    if args.jitter not in PERTURBATIONS:
        raise ValueError(f"--jitter: expected one of {sorted(PERTURBATIONS)}, got {args.jitter!r}")
    if not args.model:
        raise ValueError("--model: expected a checkpoint or an engine folder, got none")
    places = [(path, epoch) for path in args.model for epoch in args.epochs or (None,)]
    if len(places) > 1 and not protocol.ensemble:
        raise ValueError(
            f"--model, --epochs: the protocol {protocol.name} judges one checkpoint, got {len(places)}; "
            "judge them one by one with an --output each, which `asam evaluate compare` compares sample by sample, or "
            "take --protocol a2sam"
        )
    return [open_method(args, path, epoch) for path, epoch in places]


def _methods(args: Args, opened: Sequence[Engine | Prior]) -> list[Method]:
    """What is judged: several thrown together, one A-SAM also without its ambiguity."""
    from asam.evaluate import Ensemble
    from asam.methods import Prior, PromptJitter
    from asam.model import ASAM
    from asam.prompts import PERTURBATIONS

    if len(opened) > 1:
        return [Ensemble(tuple(opened))]
    first = opened[0]
    if isinstance(first, Prior) and isinstance(first.model, ASAM):
        return [first, PromptJitter(first.model, PERTURBATIONS[args.jitter])]
    return [first]
