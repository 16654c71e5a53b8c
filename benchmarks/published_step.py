"""Time of a training step of the preset ``a2sam`` beside the plain transcription of the published step.

    python benchmarks/published_step.py

All start from the same weights and take the same batch; steps alternate, losses of the first are compared. Ours is
timed in float32 and in bf16, the training option ``mixed_precision``.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from asam.bench.machine import look
from asam.bench.published import PublishedNetwork, StepInput, batch_of, training_loss
from asam.model import PRESETS
from asam.model.config import SAM_SIDE
from asam.model.published_file import network_of
from asam.training import TrainConfig
from asam.training.batches import Batch
from asam.training.layout import arrange
from asam.training.run import optimizer_of

SIDE = 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=10)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)

    published = PublishedNetwork(PRESETS["a2sam"].model).train()
    weights = torch.full((6, 1), 1 / 6)
    entry = {"model_state_dict": published.state_dict(), "mask_weights": weights}
    models = {name: network_of("the transcription", entry).train() for name in ("ours", "ours, bf16")}
    config = TrainConfig.from_dict({**PRESETS["a2sam"].training, "batch_size": options.batch})
    ours, theirs = batches(options.batch)

    trained = [p for p in published.parameters() if p.requires_grad]
    losses: dict[str, Callable[[], torch.Tensor]] = {
        "published": lambda: training_loss(published, theirs, weights),
        "ours": lambda: models["ours"].training_loss(ours, config)[0],
        "ours, bf16": in_bf16(lambda: models["ours, bf16"].training_loss(ours, config)[0]),
    }
    optimizers: dict[str, torch.optim.Optimizer] = {"published": torch.optim.Adam(trained, lr=1e-4)}
    for name, model in models.items():
        arrange(model, torch.device("cpu"))
        optimizers[name] = optimizer_of(model, config)
    first = {name: loss().item() for name, loss in losses.items()}
    routes = {name: stepper(optimizers[name], loss) for name, loss in losses.items()}
    seconds: dict[str, list[float]] = {name: [] for name in routes}
    for repeat in range(options.repeats + 1):
        for name, step in routes.items():
            start = time.perf_counter()
            step()
            if repeat:
                seconds[name].append(time.perf_counter() - start)

    machine = look()
    print(f"{machine.processor}, commit {machine.commit}, torch {torch.__version__}, load {machine.load}")
    print(
        f"batch {options.batch}, {SIDE} px, {options.threads} threads, {options.repeats} steps each, interleaved"
    )
    for name, values in seconds.items():
        ratio = statistics.median(a / b for a, b in zip(seconds["published"], values, strict=True))
        median, low, high = statistics.median(values), min(values), max(values)
        change = first[name] / first["published"] - 1
        print(
            f"{name:10} median {median:.3f} s, from {low:.3f} to {high:.3f} s, {ratio:.2f} times as fast pair by pair; "
            f"loss of the first step {first[name]:.4f} ({change:+.1e})"
        )


def in_bf16(loss: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    """The loss with its products in bf16, as accelerate computes it."""

    def lowered() -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return loss()

    return lowered


def stepper(optimizer: torch.optim.Optimizer, loss: Callable[[], torch.Tensor]) -> Callable[[], None]:
    """One whole step: gradients cleared, loss, gradients, update."""

    def step() -> None:
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()

    return step


def batches(rows: int) -> tuple[Batch, StepInput]:
    """The same rows for both."""
    generator = torch.Generator().manual_seed(1)
    grey = torch.rand(rows, 1, SIDE, SIDE, generator=generator)
    corners = torch.randint(8, 60, (rows, 2), generator=generator).float()
    boxes = torch.cat([corners, corners + 40], dim=1)
    masks = torch.zeros(rows, SIDE, SIDE)
    for mask, (x, y) in zip(masks, corners.int().tolist(), strict=True):
        mask[y + 4 : y + 36, x + 4 : x + 36] = 1
    eps = torch.randn(rows, 2, 256, generator=generator)
    images, rater = grey.expand(-1, 3, -1, -1), boxes + torch.tensor([2.0, 2.0, -2.0, -2.0])
    scale = SAM_SIDE / SIDE
    theirs = StepInput(images, grey, boxes * scale, rater * scale, masks.long(), eps)
    return batch_of(theirs), theirs


if __name__ == "__main__":
    main()
