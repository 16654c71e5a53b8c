"""Options and the run that ``ablation`` and ``peers`` share."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asam.cli._outputs import check_outputs
from asam.cli._wording import as_typed, options_of
from asam.cli.train import TrainOptions

if TYPE_CHECKING:
    from asam.studies import Variant

_LENGTH = 100_000
_STOPPED = 1
_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class StudyArgs:
    """Options of a study."""

    data: tuple[str, ...]
    """Data sets to train on, such as lidc-crops; synthetic:mix is judged on each of its kinds by itself."""
    output: Path
    """Folder of the runs, <variant>-<seed>, and of the tables; with several data sets a folder in it for each."""
    root: Path | None = None
    """Folder that holds the data set; not needed for synthetic ones."""
    only: tuple[str, ...] = ()
    """Variants by name; by default all of the study's."""
    seeds: tuple[int, ...] = (0, 1, 2)
    """Of the training runs; each variant is trained once with each."""
    image_size: int = 128
    """Side of the networks' input in pixels, a multiple of 16."""
    backbone: str = "nano"
    """Of A-SAM: vit_b, vit_l, vit_h, vit_t, lite_medsam or nano."""
    length: int | None = None
    """Samples of a synthetic training set; by default 100,000."""
    split: str = "validate"
    """Split that is judged."""
    n: tuple[int, ...] = (16, 100)
    """Hypotheses a sample, each number a row."""
    limit: int | None = None
    """Judge this many samples of each data set only, evenly spread; by default all, of a synthetic set 100."""
    config: TrainOptions = field(default_factory=dict)
    """Optimiser, losses and schedule, for all runs alike."""


def run_all(name: str, args: StudyArgs, variants: tuple[Variant, ...]) -> int:
    """Run a study on each data set and print the table."""
    from asam.evaluate import check_asked
    from asam.studies import Study, run_study, write_study
    from asam.studies.study import slug
    from asam.training import Interrupted, LoaderStopped, NonFiniteLoss

    if unknown := [one for one in args.only if one not in {variant.name for variant in variants}]:
        known = ", ".join(variant.name for variant in variants)
        raise ValueError(f"only: expected some of {known}, got {', '.join(unknown)}")
    if args.only:
        variants = tuple(variant for variant in variants if variant.name in args.only)
    for data in args.data:
        if args.length is not None and data.partition(":")[0] != "synthetic":
            print(
                f"warning: --length has no effect: it is of synthetic data, and {data} is of files",
                file=sys.stderr,
            )
    for n in args.n:
        check_asked(n=n, limit=args.limit)
    studies = [
        Study(
            name=name,
            variants=variants,
            seeds=args.seeds,
            output=args.output / slug(data) if len(args.data) > 1 else args.output,
            data=data,
            root=None if data.partition(":")[0] == "synthetic" else args.root,
            length=_LENGTH if args.length is None else args.length,
            image_size=args.image_size,
            backbone=args.backbone,
            training=args.config,
            split=args.split,
            counts=args.n,
            limit=args.limit,
        )
        for data in args.data
    ]
    sheets = [study.output / f"sheet-{slug(judged)}.png" for study in studies for judged in study.judged]
    written = (args.output / "study.json", args.output / "study.md", *sheets)
    check_outputs(written, (args.root,))
    try:
        rows = [row for study in studies for row in run_study(study)]
    except (NonFiniteLoss, LoaderStopped, Interrupted) as stop:
        print(f"asam evaluate {name}: {as_typed(str(stop), options_of(type(args)))}", file=sys.stderr)
        return _INTERRUPTED if isinstance(stop, Interrupted) else _STOPPED
    print(write_study(args.output, studies, rows))
    for path in written:
        print(f"wrote {path}")
    return 0
