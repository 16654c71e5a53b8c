"""Training: batches that are a function of (seed, step), the loss of equation (14), and the loop."""

from asam.training.config import TrainConfig
from asam.training.failures import Interrupted, LoaderStopped, NonFiniteLoss, NotWritten, UnreadableSample
from asam.training.loop import train
from asam.training.trainable import Trainable

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
