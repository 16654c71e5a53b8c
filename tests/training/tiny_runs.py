"""Runs of a few steps on a small network. As a program: the same run as one of several processes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from asam.data import Dataset as SampleDataset
from asam.data import Sample, Synthetic
from asam.model import ASAM
from asam.prompts import PromptMix
from asam.training import TrainConfig, train
from asam.training.batches import loader
from asam.training.interrupt import StopRequest
from asam.training.loop import make_accelerator
from asam.training.run import Run

TINY = {
    "batch_size": 2,
    "steps": 12,
    "save_every": 2,
    "eval_every": 6,
    "eval_images": 2,
    "warmup": 2,
    "energy": 1.0,
    "workers": 0,
}
EVERY_KIND = PromptMix(own=1, points=1, mask=1, mixed=1, none=1)


def tiny_model(side: int = 32) -> ASAM:
    torch.manual_seed(0)
    return ASAM.from_preset(backbone="nano", image_size=side)


def tiny_data(side: int = 32) -> Synthetic:
    return Synthetic("pair", size=side, seed=0, length=6)


def tiny_config(**changes: Any) -> TrainConfig:
    return TrainConfig(**{**TINY, **changes})


def tiny_train(
    output: Path,
    *,
    side: int = 32,
    resume: bool = False,
    data: SampleDataset[Sample] | None = None,
    validation: SampleDataset[Sample] | None = None,
    **changes: Any,
) -> Path:
    return train(
        tiny_model(side),
        tiny_data(side) if data is None else data,
        validation=tiny_data(side) if validation is None else validation,
        output=output,
        config=tiny_config(**changes),
        resume=resume,
        progress=False,
    )


def gradients(
    output: Path, config: TrainConfig, *, side: int = 32
) -> tuple[dict[str, torch.Tensor], dict[str, float]]:
    """Gradient of every parameter and the losses of the first step, over all processes."""
    accelerator = make_accelerator(config)
    run = Run(tiny_model(side), config, accelerator, output, StopRequest())
    share = {"rank": accelerator.process_index, "world": accelerator.num_processes}
    (batch, *_) = loader(tiny_data(side), run.model.config, config, start=0, **share)
    losses = run.backward(batch)
    grads = {name: p.grad.clone() for name, p in run.model.named_parameters() if p.grad is not None}
    return grads, losses


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    settings = tiny_config(batch_size=8, accumulate=2, steps=1, prompts=EVERY_KIND)
    found, losses = gradients(folder, settings)
    if torch.distributed.get_rank() == 0:
        assert torch.distributed.get_world_size() == 2
        found = {name: gradient.contiguous() for name, gradient in found.items()}
        save_file({**found, "losses": torch.tensor(list(losses.values()))}, folder / "gradients.safetensors")
    tiny_train(folder / "run", batch_size=4, steps=20, eval_every=10, patience=2, prompts=EVERY_KIND)
    torch.distributed.destroy_process_group()
