"""Judge checkpoints or engines on perturbed boxes: figure 5 of the paper.

The families are those of the paper: shift (5 px), scale (0.85 to 1.15), shift+ (8 px), scale+ (0.7 to 1.3) and both;
pixels are those of a 128-pixel image.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from asam.assets import checkpoint_file
from asam.cli._outputs import check_outputs, files_of_model
from asam.cli._questions import Encoder, Precision
from asam_trt.counting import counted


@dataclass(frozen=True)
class Args:
    """Options of ``asam evaluate robustness``."""

    model: tuple[Path, ...]
    """Checkpoints (.safetensors) or engine folders (.asam), each a row."""
    data: str
    """Data set by name, such as lidc-crops or synthetic:pair."""
    output: Path
    """Folder of robustness.json, robustness.md and a plot of each figure."""
    root: Path | None = None
    """Folder that holds the data set."""
    split: str = "validate"
    """train, validate or test."""
    split_scheme: Literal["group", "index-order"] | None = None
    """How data without splits of its own is divided; index-order mixes patients. By default as the model's run divided
    it where that is known, by its config.json beside a checkpoint or by an engine itself, else by group."""
    manifest: Path | None = None
    """Division to take, a file of `asam data split`; it replaces the splits that the data come with, where they do. By
    default that of the model's run, where it had one."""
    size: int | None = None
    """Image side of a synthetic data set; by default 128."""
    n: int = 16
    """Hypotheses a sample."""
    seed: int = 0
    """Of perturbations, hypotheses and bootstrap."""
    limit: int | None = None
    """Look at this many samples only, evenly spread; by default all."""
    precision: Precision = "auto"
    encoder: Encoder = "auto"


def run(args: Args) -> int:
    """Judge, print the tables, write them and the plots."""
    from asam.cli._evaluate.common import (
        check_running,
        described,
        named_methods,
        open_judged,
        write_picture,
        write_report,
    )
    from asam.evaluate.provenance import of_software
    from asam.progress import bars
    from asam.studies.robustness import SHOWN, plot, robustness, table

    args = replace(args, model=tuple(map(checkpoint_file, args.model)))
    names = ("robustness.json", "robustness.md", *(f"robustness-{name}.png" for name in SHOWN))
    read = [file for path in args.model for file in files_of_model(path)]
    check_outputs([args.output / name for name in names], (*read, args.root))
    check_running(args, args.model)
    methods = named_methods(args, args.model)
    data, judged = open_judged(args, args.model)
    with bars(keep=False) as start:
        found = robustness(methods, data, n=args.n, seed=args.seed, limit=args.limit, start=start)
    first = found[methods[0].name]["none"]
    head = (
        f"{judged}, {counted(first.samples, 'sample')} of {counted(first.groups, 'group')}, "
        f"n = {args.n}, seed {args.seed}; 95 percent intervals by group bootstrap; data sha256 {first.data_sha256}"
    )
    text = f"{head}\n\n{table(found)}"
    print(text + "\n")
    reports = {m: {f: r.to_dict() for f, r in families.items()} for m, families in found.items()}
    document = {
        "data": {**judged.to_dict(), "sha256": first.data_sha256},
        "models": [described(path, method) for path, method in zip(args.model, methods, strict=True)],
        "software": of_software(),
        "robustness": reports,
    }
    write_report(args.output / "robustness.json", document, text)
    for name in SHOWN:
        write_picture(args.output / f"robustness-{name}.png", plot(found, name))
    return 0
