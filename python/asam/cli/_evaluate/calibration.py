"""Reliability and interval coverage of a model, and a latent temperature fitted on half of its patients.

A temperature that is chosen on some samples looks better on them than it is: patients are split in two halves, one
fits, and both are reported. Use it with `session.sample(temperature=...)`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from asam.assets import checkpoint_file
from asam.cli._outputs import check_outputs, files_of_model
from asam.cli._questions import Encoder, Precision

if TYPE_CHECKING:
    from asam.model import ASAM
    from asam_trt import Session


@dataclass(frozen=True)
class Args:
    """Options of ``asam evaluate calibration``."""

    model: Path
    """Checkpoint of an A-SAM (.safetensors), or an engine folder (.asam)."""
    data: str
    """Data set by name, such as lidc-crops or synthetic:pair."""
    output: Path
    """Folder of calibration.json, calibration.md and calibration.png."""
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
    n: int = 32
    """Hypotheses a sample."""
    seed: int = 0
    """Of hypotheses and bootstrap."""
    limit: int | None = None
    """Look at this many samples only, evenly spread; by default all."""
    fit: bool = True
    """Fit a temperature too."""
    precision: Precision = "auto"
    encoder: Encoder = "auto"


def run(args: Args) -> int:
    """Judge, fit, print the table, write it and the plot."""
    from asam.cli._evaluate.common import check_running, open_judged, write_picture, write_report
    from asam.data import spread
    from asam.evaluate.provenance import of_model, of_software
    from asam.progress import bars
    from asam.studies.calibration import calibrate, fit_temperature, plot, table
    from asam_trt import Session

    args = replace(args, model=checkpoint_file(args.model))
    targets = [args.output / f"calibration.{suffix}" for suffix in ("json", "md", "png")]
    check_outputs(targets, (*files_of_model(args.model), args.root))
    check_running(args, (args.model,))
    source = _source(args)
    data, judged = open_judged(args, (args.model,))
    places = spread(len(data), args.limit)
    with bars(keep=False) as start:
        show = start("all samples")
        whole = calibrate(source, data, n=args.n, seed=args.seed, places=places, on_sample=show)
        fit = (
            fit_temperature(source, data, n=args.n, seed=args.seed, places=places, start=start)
            if args.fit
            else None
        )
    text = f"{judged}; {table(whole, fit)}"
    print(text + "\n")
    document = {
        "data": judged.to_dict(),
        "models": [of_model(args.model, source if isinstance(source, Session) else None)],
        "software": of_software(),
        "calibration": whole.to_dict(),
        "temperature": None if fit is None else fit.to_dict(),
    }
    write_report(args.output / "calibration.json", document, text)
    write_picture(args.output / "calibration.png", plot(whole, fit))
    return 0


def _source(args: Args) -> ASAM | Session:
    """What has a temperature."""
    from asam.cli._evaluate.common import open_session
    from asam.model import load_checkpoint

    return open_session(args, args.model) if args.model.is_dir() else load_checkpoint(args.model)
