"""Small networks and batches for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from asam.baselines import BASELINES, Peer, create
from asam.data import Synthetic
from asam.prompts import PromptMix
from asam.training import TrainConfig
from asam.training.batches import Batch, loader

SIDE = 32
NAMES = sorted(BASELINES)
EVERY_KIND = PromptMix(own=1, points=1, mask=1, mixed=1, none=1)


def peer(name: str, *, side: int = SIDE, seed: int = 0) -> Peer[Any]:
    found = create(name, image_size=side, seed=seed)
    assert isinstance(found, Peer)
    return found


def config(**changes: Any) -> TrainConfig:
    return TrainConfig(**{"batch_size": 4, "steps": 1, "warmup": 0, "workers": 0, **changes})


def batches(
    network: Peer[Any], *, kind: str = "pair", length: int = 8, size: int | None = None, **changes: Any
) -> Iterator[Batch]:
    """The batches of a run of ``changes["steps"]`` steps."""
    side = network.config.image_size if size is None else size
    data = Synthetic(kind, size=side, seed=0, length=length)
    yield from loader(data, network.config, config(**changes), start=0)


def one_batch(network: Peer[Any], **changes: Any) -> Batch:
    return next(batches(network, **changes))


def fitted(
    network: Peer[Any], all_batches: Iterator[Batch], rate: float = 2e-3, kl_warmup: int = 0
) -> list[float]:
    """Train with Adam, KL terms rising over the first ``kl_warmup`` steps; the losses of all steps."""
    optimizer = torch.optim.Adam(network.parameters(), lr=rate)
    losses = []
    for step, batch in enumerate(all_batches, 1):
        weight = min(1.0, step / max(kl_warmup, 1))
        total, _ = network.training_loss(batch, config(), divergence_weight=weight)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        losses.append(float(total.detach()))
    return losses
