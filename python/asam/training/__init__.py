"""Training: batches that are a function of (seed, step), the loss of equation (14), and the loop."""

from typing import TYPE_CHECKING

from asam.on_demand import names_from
from asam.training.config import TrainConfig

if TYPE_CHECKING:
    from asam.training.failures import (
        Interrupted,
        LoaderStopped,
        NonFiniteLoss,
        NotWritten,
        UnreadableSample,
    )
    from asam.training.loop import train
    from asam.training.trainable import Trainable
else:
    __getattr__ = names_from(
        __name__,
        {
            "Interrupted": "asam.training.failures.Interrupted",
            "LoaderStopped": "asam.training.failures.LoaderStopped",
            "NonFiniteLoss": "asam.training.failures.NonFiniteLoss",
            "NotWritten": "asam.training.failures.NotWritten",
            "Trainable": "asam.training.trainable.Trainable",
            "UnreadableSample": "asam.training.failures.UnreadableSample",
            "train": "asam.training.loop.train",
        },
    )

__all__ = [
    "Interrupted",
    "LoaderStopped",
    "NonFiniteLoss",
    "NotWritten",
    "TrainConfig",
    "Trainable",
    "UnreadableSample",
    "train",
]
