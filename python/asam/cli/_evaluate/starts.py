"""Judged samples that models were not trained on, but the checkpoints that their runs started from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from asam.cli._evaluate.division import WHOLE, Judging, tell
from asam.starts import Start, of_model

if TYPE_CHECKING:
    from asam.data import Dataset, Sample


def tell_starts(args: Judging, data: Dataset[Sample], models: Sequence[Path]) -> list[Path]:
    """Say on standard error how many judged samples were trained on so, or that they may have been.

    Returns:
        The models that started from a checkpoint of which that is not known.
    """
    unsure: dict[Path, None] = {}
    if args.data.partition(":")[0] == "synthetic":  # a seed for each split
        return []
    for model in models:
        for start in of_model(model):
            if start.data not in (None, args.data):
                continue
            trained = _trained_on(args, start)
            if not (certain := trained is not None and start.certain):
                unsure[model] = None
            shared = len({*(trained or ())} & {*data.ids})
            if args.split in WHOLE:
                continue
            if shared:
                tell(
                    f"warning: {shared} of the {len(data)} samples of split {args.split} are among those that "
                    f"{start.checkpoint} was trained on, which {model} started from"
                )
            elif not certain:
                tell(
                    f"warning: {model} started from {start.checkpoint}, and what that was trained on is not certain: "
                    f"samples of split {args.split} may be among it"
                )
    return list(unsure)


def _trained_on(args: Judging, start: Start) -> Sequence[str] | None:
    """Ids of its training samples; None where they are not known, or were of other data of this name."""
    from asam.data import Scheme, open_dataset
    from asam.evaluate.provenance import of_training

    if start.train is not None:
        return start.train
    scheme = next((one for one in get_args(Scheme) if one == start.scheme), None)
    if scheme is None:
        return None
    try:
        trained = open_dataset(args.data, args.root, "train", scheme=scheme)
        if start.samples is not None and of_training(args.data, trained) != start.samples:
            return None
    except (OSError, ValueError):  # a damaged sample is told by what judges it
        return None
    return trained.ids
