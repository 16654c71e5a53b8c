"""What the training loop wants of a network."""

from __future__ import annotations

from os import PathLike
from typing import Any, Protocol, runtime_checkable

import torch

from asam.methods import Network
from asam.training.batches import Batch
from asam.training.config import TrainConfig


@runtime_checkable
class Trainable(Network, Protocol):
    """A `torch.nn.Module` that gives its own loss: :class:`asam.ASAM` or any peer."""

    config: Any

    def training_loss(
        self, batch: Batch, config: TrainConfig, *, divergence_weight: float = 1.0
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The loss of a batch and its parts by name, scalars; each is a mean over rows.

        A function of the parameters and the arguments alone: noise comes from ``batch.eps``, ``batch.prior_eps`` or a
        generator seeded by ``batch.seeds``, so that a resumed run equals one that was never interrupted.
        """

    def save(self, path: str | PathLike[str]) -> None:
        """Write weights and configuration to one file, under a temporary name first."""
