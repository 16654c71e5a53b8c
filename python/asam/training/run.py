"""The moving parts of one training run: weights, their average, the optimiser, and the record of both."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast
from torch import nn
from torch.nn.modules.conv import _ConvNd
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from asam.data import Dataset as SampleDataset
from asam.data import Sample
from asam.evaluate import evaluate
from asam.methods import Prior
from asam.model.adaptation import freeze
from asam.model.cache import EmbeddingCache
from asam.model.checkpoint import check_tensors
from asam.model.errors import CheckpointError
from asam.model.lora import LowRankLinear
from asam.model.network import ASAM
from asam.training import schedule
from asam.training.batches import Batch
from asam.training.board import Board
from asam.training.config import TrainConfig
from asam.training.evaluations import BEST_GONE
from asam.training.failures import NonFiniteLoss, UnreadableSample, how_to_resume, writing
from asam.training.interrupt import StopRequest
from asam.training.items import UNREADABLE, LastRead, described
from asam.training.layout import arrange
from asam.training.state import (
    DamagedState,
    cut_log,
    load_optimizer,
    load_state,
    moments_of,
    not_finite,
    remove_leftovers,
    save_state,
    state_to_resume,
)
from asam.training.trainable import Trainable

_LOG_EVERY = 20  # steps

_log = logging.getLogger("asam")


class _Loss(nn.Module):
    """The training loss of a network as a forward pass, which is what accelerate distributes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(
        self, batch: Batch, config: TrainConfig, divergence_weight: float, **known: torch.Tensor
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """As :meth:`Trainable.training_loss`."""
        network = self.network
        assert isinstance(network, Trainable)
        return network.training_loss(batch, config, divergence_weight=divergence_weight, **known)


class _StoppedEvaluation(Exception):
    """An evaluation that was broken off; it is done again after the resume."""


class Run:
    """One run at one step; every process of it holds one.

    Attributes:
        step: optimiser steps done.
        best_ged: lowest validation GED so far; known to the main process alone.
        stale: evaluations since then.
        stopping: some process was asked to stop.
    """

    def __init__(
        self,
        network: nn.Module,
        config: TrainConfig,
        accelerator: Accelerator,
        output: Path,
        request: StopRequest,
    ) -> None:
        self.config, self.accelerator, self.output, self.request = config, accelerator, output, request
        self.main = bool(accelerator.is_main_process)
        self.states = output / "states"
        self.step = 0
        self.best_ged = math.inf
        self.stale = 0
        self.judged_step = 0
        self.stopping = False
        self.model = network
        if not config.ensemble_share and isinstance(network, ASAM):
            freeze(network, "ensemble")
        arrange(network, accelerator.device)
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(config.ema))
        self.average.to(accelerator.device)
        optimizer = optimizer_of(network, config)
        self.wrapped, self.optimizer = accelerator.prepare(_Loss(network.train()), optimizer)
        self.board: Board | None = None
        self.cache = _embedding_cache(network, output) if config.cache_embeddings else None

    def open_board(self) -> None:
        """Begin TensorBoard files at the present step, where the configuration asks for them."""
        if self.main and self.config.tensorboard:
            with writing(str(self.output / "tensorboard"), self.states):
                self.board = Board(self.output / "tensorboard", step=self.step)

    def close(self) -> None:
        """End TensorBoard files."""
        if self.board is not None:
            self.board.close()

    def backward(self, batch: Batch) -> dict[str, float]:
        """Put the gradient of the whole batch's loss, over all processes, into the parameters.

        Returns:
            "loss" and its parts, averaged over all rows of all processes.
        """
        self.optimizer.zero_grad()
        parts = batch.split(self.config.accumulate)
        weight = schedule.divergence_weight(self.step, self.config)
        sums, names = torch.zeros(1), ["loss"]
        for number, part in enumerate(parts, start=1):
            last = number == len(parts)
            with nullcontext() if last else self.accelerator.no_sync(self.wrapped):
                embedding = {}
                if self.cache is not None:
                    with writing(str(self.output / "embeddings"), self.states):
                        embedding["embedding"] = self.cache(part.images)
                total, terms = self.wrapped(part, self.config, weight, **embedding)
                self.accelerator.backward(total / len(parts))
            values = torch.stack([total, *terms.values()]).detach().cpu()
            sums, names = sums + values / len(parts), ["loss", *terms]
        asked = torch.tensor([float(self.request.asked)])
        gathered = torch.cat([sums, asked]).to(self.accelerator.device)
        *means, stopping = self.accelerator.reduce(gathered, reduction="mean").tolist()
        self.stopping = stopping > 0
        return dict(zip(names, means, strict=True))

    def advance(self, batch: Batch) -> float:
        """One optimiser step; returns the loss.

        Raises:
            NonFiniteLoss: the loss or the gradient is no number; the weights are those before the step.
        """
        rate = self.config.learning_rate * schedule.learning_rate(self.step, self.config)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        terms = self.backward(batch)
        self._check_finite("loss", terms["loss"])
        if self.step >= self.config.ensemble_share * self.config.steps and isinstance(self.model, ASAM):
            self.model.ensemble.grad = None
        clip = math.inf if self.config.clip is None else self.config.clip
        norm = float(self.accelerator.clip_grad_norm_(self.wrapped.parameters(), clip))
        if self.accelerator.scaler is None:  # the scaler of fp16 leaves such a step out by itself
            self._check_finite("gradient", norm)
        self.optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1
        if self.step % _LOG_EVERY == 0:
            self._log({**terms, "gradient": norm, "learning_rate": rate})
            if self.board is not None:
                self.board.scalars(terms, group="train", step=self.step)
                self.board.scalars({"norm": norm, "learning_rate": rate}, group="optimizer", step=self.step)
        return terms["loss"]

    def evaluation_due(self) -> bool:
        """Whether this step is one of those evaluated, and not evaluated yet."""
        due = self.step % self.config.eval_every == 0 or self.step == self.config.steps
        return due and self.step > self.judged_step

    def judge(
        self, validation: SampleDataset[Sample], on_sample: Callable[[int, int], None] | None = None
    ) -> None:
        """Evaluate the averaged weights; keep them where they are the best so far.

        A stop that is asked for meanwhile breaks it off; it is then still due.

        Raises:
            NonFiniteLoss: the weights are no longer numbers.
        """
        self._check_weights()
        broken_off = False
        if self.main:
            try:
                self._judge(validation, on_sample)
            except _StoppedEvaluation:
                broken_off = True
        device = self.accelerator.device
        counts = torch.tensor([self.stale, int(broken_off)], device=device)
        self.stale, stopping = broadcast(counts).tolist()
        if stopping:
            self.stopping = True
        else:
            self.judged_step = self.step

    def _judge(self, validation: SampleDataset[Sample], on_sample: Callable[[int, int], None] | None) -> None:
        def each(done: int, total: int) -> None:
            if self.request.asked:
                raise _StoppedEvaluation
            if on_sample is not None:
                on_sample(done, total)

        averaged, config = self._averaged(), self.config
        data = LastRead(validation)
        try:
            report = evaluate(
                Prior(averaged), data, n=16, seed=config.seed, limit=config.eval_images, on_sample=each
            )
            if self.board is not None:
                self.board.sheet(averaged, data, seed=config.seed, step=self.step)
        except _StoppedEvaluation:
            raise
        except Exception as error:
            self.keep()
            if not isinstance(error, UNREADABLE):
                raise
            raise UnreadableSample(
                f"validation {data.name}: {described(error)}. {how_to_resume(self.states)}"
            ) from error
        self._log({"evaluation": report.means})
        if self.board is not None:
            self.board.scalars(report.means, group="validation", step=self.step)
        ged = report.means["ged"]
        self.stale = 0 if ged < self.best_ged else self.stale + 1
        if ged < self.best_ged:
            self._write(averaged, "best.safetensors")
            self.best_ged = ged

    def out_of_patience(self) -> bool:
        """Whether the last evaluations did not improve for as long as the configuration waits."""
        return self.config.patience is not None and self.stale >= self.config.patience

    def save(self) -> None:
        """Write a state to resume from, all processes together; raises as :meth:`keep`."""
        self.keep()
        self.accelerator.wait_for_everyone()

    def keep(self) -> None:
        """Write a state to resume from where this process is the main one, which then need not wait for others.

        Raises:
            NonFiniteLoss: the weights are no longer numbers; earlier states are kept.
            NotWritten: the disk is full, or may not be written; earlier states are kept.
        """
        self._check_weights()
        if self.main and self.step:
            scaler = self.accelerator.scaler
            with writing(f"{self.states}, state of step {self.step}", self.states):
                save_state(
                    self.states,
                    step=self.step,
                    model=self.model.state_dict(),
                    average=self.average.module.state_dict(),
                    optimizer=self.optimizer.state_dict(),
                    record={
                        "best_ged": self.best_ged,
                        "stale": self.stale,
                        "judged_step": self.judged_step,
                        "averaged": int(self.average.n_averaged),
                        "decayed": decayed(self.model),
                        "scaler": None if scaler is None else scaler.state_dict(),
                    },
                )

    def restore(self) -> None:
        """Go back to the newest state.

        Raises:
            DamagedState: names what is damaged, and an older state if there is one.
            CheckpointError: the state is of another network, or of other options.
            ValueError: there is none, it is beyond the last step, or its weight decay is on other parameters.
        """
        path = state_to_resume(self.states)
        try:
            self._restore(path)
        except DamagedState as error:
            older = [state for state in sorted(self.states.glob("step-*")) if state < path]
            more = f"; remove it to go on from {older[-1]}" if older else ""
            raise DamagedState(f"{error}{more}") from error
        except CheckpointError as error:
            raise CheckpointError(
                f"{error}; it is of another network or of other options than these, see {self.output / 'config.json'}"
            ) from error

    def _restore(self, path: Path) -> None:
        record, tensors = load_state(path)
        if record["step"] > self.config.steps:
            raise ValueError(
                f"steps: expected at least the {record['step']} of {path}, got {self.config.steps}"
            )
        for name, network in (("model", self.model), ("average", self.average.module)):
            check_tensors(path / f"{name}.safetensors", network.state_dict(), tensors[name], same_dtype=True)
            network.load_state_dict(tensors[name])
        self._check_decayed(path, record.get("decayed"))
        self.average.n_averaged.fill_(record["averaged"])
        load_optimizer(self.optimizer, tensors["optimizer"], where=path / "optimizer.safetensors")
        self._restore_scaler(path / "state.json", record.get("scaler"))
        self.step, self.best_ged = record["step"], record["best_ged"]
        self.stale, self.judged_step = record.get("stale", 0), record.get("judged_step", record["step"])
        if self.main:
            with writing(str(self.output), self.states):
                remove_leftovers(self.states, "step-*")
                remove_leftovers(self.output, "*.safetensors", "*.json", "log.jsonl")
                cut_log(self.output / "log.jsonl", self.step)
        self._look_for_best()

    def _look_for_best(self) -> None:
        """Forget the best weights where their file is gone: the next ones are the best again."""
        best = self.output / "best.safetensors"
        if math.isinf(self.best_ged) or best.is_file():
            return
        self.best_ged = math.inf
        if self.main:
            _log.warning("%s is gone; the best weights from here on are kept in its place", best)
            self._log({BEST_GONE: True})

    def _check_decayed(self, path: Path, saved: list[str] | None) -> None:
        """Raise ValueError where the moments of a state are in another order than the optimiser's parameters."""
        if saved is None:  # of a version that had it on all but vectors
            saved = [name for name, p in self.model.named_parameters() if p.requires_grad and p.ndim > 1]
        wanted = decayed(self.model)
        if saved != wanted:
            other = sorted({*saved} ^ {*wanted}) or saved
            raise ValueError(
                f"{path}: expected a state with weight decay on the {len(wanted)} weights of linear layers and "
                f"convolutions, got one with it on {len(saved)} parameters, as {other[0]} shows: it is of another "
                "version; finish it with that one, or begin another run with these weights (asam train --start)"
            )

    def _restore_scaler(self, file: Path, saved: Any) -> None:
        scaler = self.accelerator.scaler
        if scaler is None or not saved:
            return
        fits = isinstance(saved, dict) and set(saved) == set(scaler.state_dict())
        if not fits or not all(isinstance(value, int | float) for value in saved.values()):
            raise CheckpointError(
                f"{file}: expected scaler as the numbers of a gradient scaler, got {saved!r}"
            )
        scaler.load_state_dict(saved)

    def finish(self, *, validated: bool) -> Path:
        """Write the last weights, also as the best where no evaluation chose others; return the best ones' path."""
        best = self.output / "best.safetensors"
        if self.main:
            averaged = self._averaged()
            self._write(averaged, "last.safetensors")
            if not validated or not best.is_file():
                self._write(averaged, best.name)
        self.accelerator.wait_for_everyone()
        return best

    def _averaged(self) -> Trainable:
        averaged = self.average.module
        assert isinstance(averaged, Trainable)
        averaged.eval()
        return averaged

    def _write(self, model: Trainable, name: str) -> None:
        with writing(str(self.output / name), self.states):
            model.save(self.output / name)

    def _check_finite(self, what: str, value: float) -> None:
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"step {self.step}: expected a finite {what}, got {value}; try a lower learning rate. "
                f"{how_to_resume(self.states)}"
            )

    def _check_weights(self) -> None:
        """Raise NonFiniteLoss where what a state would hold is no longer a number: a finite gradient is no warrant."""
        parts = (
            self.model.state_dict(),
            self.average.module.state_dict(),
            moments_of(self.optimizer.state_dict()),
        )
        for tensors in parts:
            if (name := not_finite(tensors)) is not None:
                raise NonFiniteLoss(
                    f"step {self.step}: expected finite weights and moments, got NaN or infinity in {name}; try a "
                    f"lower learning rate. {how_to_resume(self.states)}"
                )

    def _log(self, values: dict[str, Any]) -> None:
        path = self.output / "log.jsonl"
        if self.main:
            with writing(str(path), self.states), path.open("a") as file:
                file.write(json.dumps({"step": self.step, **values}) + "\n")


def optimizer_of(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW on what trains; decay on the weights of linear layers and convolutions alone."""
    return torch.optim.AdamW(_groups(network, config.weight_decay), lr=config.learning_rate, fused=True)


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay on matrices and kernels; none on biases, norms, tables and the ensemble weights."""
    chosen = {*decayed(network)}
    trainable = [(name, p) for name, p in network.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in trainable if name in chosen], "weight_decay": weight_decay},
        {"params": [p for name, p in trainable if name not in chosen], "weight_decay": 0.0},
    ]


def decayed(network: nn.Module) -> list[str]:
    """What weight decay acts on: the trained weights of linear layers, adapters among them, and of convolutions."""
    matrices = set()
    for module in network.modules():
        if isinstance(module, nn.Linear | _ConvNd):
            matrices.add(id(module.weight))
        if isinstance(module, LowRankLinear):
            matrices.update(id(p) for p in (*module.down.values(), *module.up.values()))
    return [name for name, p in network.named_parameters() if p.requires_grad and id(p) in matrices]


def _embedding_cache(network: nn.Module, output: Path) -> EmbeddingCache:
    if not isinstance(network, ASAM):
        raise ValueError(f"cache_embeddings: expected an ASAM, got a {type(network).__name__}; leave it out")
    return EmbeddingCache(output / "embeddings", network)
