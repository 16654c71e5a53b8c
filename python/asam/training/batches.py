"""Batches as a function of (seed, step), whatever the number of processes, workers or restarts."""

from __future__ import annotations

import signal
from collections.abc import Generator, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

from asam.data import Dataset as SampleDataset
from asam.data import Sample
from asam.model.prompts import ABSENT, Prompts
from asam.training.config import TrainConfig
from asam.training.failures import WITHOUT_WORKERS, LoaderStopped
from asam.training.items import Item, Place, TrainingItems, Unreadable
from asam.training.network_config import NetworkConfig
from asam.training.orphans import end_with_parent


class Batch(NamedTuple):
    """Tensors of B images.

    Attributes:
        images: [B, 3, S, S], normalised and padded.
        points, labels, mask_inputs, has_mask: the prompts, see :class:`asam.model.prompts.Prompts`.
        target: [B, S, S], the drawn rater's mask.
        target_box: [B, 4], that rater's box in model space (:func:`asam.prompts.rater_box`), or where that rater marked
            nothing the widest one of all raters.
        valid: [B, S, S], 1 on the image and 0 on padding.
        raters: [B, R, S, S], all masks, with weights [B, R].
        eps: [B, 2, L], noise of the posterior draw.
        prior_eps: [B, n, 2, L], noise of n prior draws.
        seeds: int64 [B], of whatever else a network draws.
    """

    images: torch.Tensor
    points: torch.Tensor
    labels: torch.Tensor
    mask_inputs: torch.Tensor
    has_mask: torch.Tensor
    target: torch.Tensor
    target_box: torch.Tensor
    valid: torch.Tensor
    raters: torch.Tensor
    weights: torch.Tensor
    eps: torch.Tensor
    prior_eps: torch.Tensor
    seeds: torch.Tensor

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Batch:
        """The tensors of what :func:`collate` gives; they share its memory."""
        return cls(*(torch.from_numpy(arrays[name]) for name in cls._fields))

    @property
    def prompts(self) -> Prompts:
        """As the network takes them."""
        return Prompts(self.points, self.labels, self.mask_inputs, self.has_mask)

    def to(self, device: torch.device) -> Batch:
        """The same batch on ``device``."""
        return Batch(*(t.to(device, non_blocking=True) for t in self))

    def split(self, parts: int) -> list[Batch]:
        """``parts`` batches of as many rows each."""
        rows = len(self.images)
        if rows % parts:
            raise ValueError(f"expected {rows} rows to split evenly, got {parts} parts")
        return [Batch(*chunk) for chunk in zip(*(t.split(rows // parts) for t in self), strict=True)]


class StepBatches(Sampler[list[Place]]):
    """The places of each step, in seeded permutations of the data set, one after another; or always in its order."""

    def __init__(
        self,
        *,
        length: int,
        batch_size: int,
        seed: int,
        start: int,
        steps: int,
        rank: int = 0,
        world: int = 1,
        shuffle: bool = True,
    ) -> None:
        if length < 1:
            raise ValueError("training data: expected at least one sample, got an empty data set")
        if batch_size % world:
            raise ValueError(f"batch_size: expected a multiple of the {world} processes, got {batch_size}")
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.start, self.steps, self.rank, self.world, self.shuffle = start, steps, rank, world, shuffle

    def __len__(self) -> int:
        return self.steps - self.start

    def __iter__(self) -> Iterator[list[Place]]:
        epoch, order = -1, np.arange(self.length)
        for step in range(self.start, self.steps):
            places = []
            for slot in range(self.rank, self.batch_size, self.world):
                serial = step * self.batch_size + slot
                if self.shuffle and serial // self.length != epoch:
                    epoch = serial // self.length
                    order = np.random.default_rng([self.seed, epoch]).permutation(self.length)
                places.append(Place(int(order[serial % self.length]), serial))
            yield places


# What rows that are shorter than the longest are filled up with.
_FILL = {"raters": 0, "weights": 0, "points": 0, "labels": ABSENT}


def collate(items: list[Item | Unreadable]) -> dict[str, np.ndarray] | Unreadable:
    """Stack items into the arrays of a :class:`Batch`, or give the first that could not be read.

    Short rows are filled up: raters by empty masks of weight 0, prompts by absent places.
    """
    rows: list[Item] = []
    for item in items:
        if isinstance(item, Unreadable):
            return item
        rows.append(item)

    def stack(key: str) -> np.ndarray:
        arrays = [row[key] for row in rows]
        if key in _FILL:
            most = max(map(len, arrays))
            arrays = [
                np.pad(a, [(0, most - len(a))] + [(0, 0)] * (a.ndim - 1), constant_values=_FILL[key])
                for a in arrays
            ]
        return np.stack(arrays)

    return {key: stack(key) for key in Batch._fields}


def loader(
    data: SampleDataset[Sample],
    model: NetworkConfig,
    config: TrainConfig,
    *,
    start: int,
    rank: int = 0,
    world: int = 1,
) -> Generator[Any, None, None]:
    """Batches of the steps ``start`` .. ``config.steps``; this process's share of each.

    Yields :class:`Batch`, or :class:`Unreadable` where a sample of it could not be read.

    Raises:
        LoaderStopped: the loader processes could not be started.
    """
    sampler = StepBatches(
        length=len(data),
        batch_size=config.batch_size,
        seed=config.seed,
        start=start,
        steps=config.steps,
        rank=rank,
        world=world,
        shuffle=config.shuffle,
    )
    return _batches(
        DataLoader(
            TrainingItems(data, model, config),
            batch_sampler=sampler,
            # Arrays come through a pipe. Tensors would come through /dev/shm: where that is full they are lost
            # without a word, and the run waits for them for ever.
            collate_fn=collate,
            num_workers=config.workers,
            worker_init_fn=_begin_worker,
        )
    )


def _batches(batches: DataLoader[Any]) -> Generator[Batch | Unreadable, None, None]:
    try:
        stacked = iter(batches)
    except OSError as error:
        raise LoaderStopped(
            f"workers: expected to start {batches.num_workers} loader processes, got: {error}; {WITHOUT_WORKERS}"
        ) from error
    for arrays in stacked:
        yield arrays if isinstance(arrays, Unreadable) else Batch.of(arrays)


def _begin_worker(worker: int) -> None:
    end_with_parent()
    _leave_signals_to_parent()


def _leave_signals_to_parent() -> None:
    """Signals reach every process of a group; the one that trains has to finish its step first.

    The third SIGTERM ends a loader process, as it ends the run. PyTorch ends it by an event of its own.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _obey_the_third)


def _obey_the_third(number: int, _: object) -> None:
    signal.signal(number, _obey_the_next)


def _obey_the_next(number: int, _: object) -> None:
    signal.signal(number, signal.SIG_DFL)
