"""Train and judge A-SAM and its peers alike: Probabilistic U-Net, PHiSeg, SSN, MoSE, SAM with shifted prompts.

Runs that lie in the output folder already are taken from there, so an interrupted study goes on with the same command.
"""

from __future__ import annotations

from dataclasses import dataclass

from asam.cli._evaluate.study import StudyArgs, run_all


@dataclass(frozen=True, kw_only=True)
class Args(StudyArgs):
    """Options of ``asam evaluate peers``."""


def run(args: Args) -> int:
    """Run the study and print its table."""
    from asam.studies.variants import peers

    return run_all("peers", args, peers())
