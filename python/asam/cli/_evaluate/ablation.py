"""Train and judge A-SAM without its latents or its posteriors, with other losses, and with other choices than ours.

Runs that lie in the output folder already are taken from there, so an interrupted study goes on with the same command.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from asam.cli._evaluate.study import StudyArgs, run_all


@dataclass(frozen=True, kw_only=True)
class Args(StudyArgs):
    """Options of ``asam evaluate ablation``."""

    which: Literal["network", "losses", "choices", "all"] = "all"
    """Parts of the network, mixes of losses, choices that the paper leaves open, or all of them."""


def run(args: Args) -> int:
    """Run the study and print its table."""
    from asam.studies.variants import ABLATIONS

    return run_all("ablation", args, ABLATIONS[args.which])
