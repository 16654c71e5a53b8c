"""Fill the paper's tables 1 to 5 and its ablation with the rows of studies that have been run.

Published rows stand beside ours for reference: their conventions and splits differ, which the file says.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from asam.cli._outputs import check_outputs, check_suffix


@dataclass(frozen=True)
class Args:
    """Options of ``asam evaluate tables``."""

    studies: tuple[Path, ...] = ()
    """The study.json of each study; rows without one stay empty."""
    output: Path | None = None
    """Markdown file to write too."""


def run(args: Args) -> int:
    """Print the tables, and write them where a file is named."""
    from asam.studies.paper_tables import read_studies, render
    from asam_trt.files import write_text

    check_suffix("--output", args.output, ".md")
    check_outputs((args.output,), [file for path in args.studies for file in (path, path.with_suffix(".md"))])
    text = render(read_studies(args.studies))
    print(text)
    if args.output is not None:
        write_text(args.output, text)
        print(f"wrote {args.output}")
    return 0
