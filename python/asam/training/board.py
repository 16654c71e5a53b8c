"""Curves and contact sheets for TensorBoard."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

from asam.data import Dataset, Sample, sheet, spread
from asam.methods import Prior
from asam.training.trainable import Trainable

ROWS = 4  # samples on a sheet, evenly spread
_ANSWERS = 8  # hypotheses of each

_log = logging.getLogger("asam")


class Board:
    """Event files under ``folder``; look at them with ``tensorboard --logdir``.

    Args:
        folder: made if it is not there.
        step: events of an earlier run after this step are hidden.

    Raises:
        ImportError: the package tensorboard is not installed; says how to.
    """

    def __init__(self, folder: Path, *, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ImportError(
                "tensorboard=True: expected the package tensorboard, which is not installed; "
                "pip install tensorboard, or train without it: log.jsonl has the same figures"
            ) from error
        self._writer = SummaryWriter(folder, purge_step=step)

    def scalars(self, values: Mapping[str, float], *, group: str, step: int) -> None:
        """One point on each curve ``group/name``."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def sheet(self, network: Trainable, data: Dataset[Sample], *, seed: int, step: int) -> None:
        """A contact sheet of samples spread over ``data``: raters' masks beside hypotheses of ``network``.

        One that cannot be drawn is left out, and a warning says so: no picture is worth a run.
        """
        samples = [data[index] for index in spread(len(data), ROWS)]
        method = Prior(network)
        answers = [method.hypotheses(sample, n=_ANSWERS, seed=seed).masks for sample in samples]
        try:
            picture = sheet(samples, tile=96, answers=answers)
        except Exception as error:
            _log.warning("TensorBoard's sheet of step %d is left out, drawing it failed: %s", step, error)
            return
        self._writer.add_image("hypotheses", picture, step, dataformats="HWC")

    def close(self) -> None:
        """Write what is still in memory."""
        self._writer.close()
