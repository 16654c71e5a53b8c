"""Time of a training step of the preset ``a2sam`` beside the plain transcription of the published step.

    python benchmarks/published_step.py

Both start from the same weights and take the same batch; steps alternate, losses of the first are compared.
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
    model = network_of("the transcription", entry).train()
    config = TrainConfig.from_dict({**PRESETS["a2sam"].training, "batch_size": options.batch})
    ours, theirs = batches(options.batch)

    first = training_loss(published, theirs, weights).item(), model.training_loss(ours, config)[0].item()
    trained = [p for p in published.parameters() if p.requires_grad]
    routes: dict[str, Callable[[], None]] = {
        "published": stepper(
            torch.optim.Adam(trained, lr=1e-4), lambda: training_loss(published, theirs, weights)
        ),
        "ours": stepper(optimizer_of(model, config), lambda: model.training_loss(ours, config)[0]),
    }
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
    print(f"loss of the first step: published {first[0]:.6f}, ours {first[1]:.6f}")
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        print(f"{name:10} median {medians[name]:.3f} s, from {min(values):.3f} to {max(values):.3f} s")
    ratios = [a / b for a, b in zip(seconds["published"], seconds["ours"], strict=True)]
    print(f"published / ours, pair by pair: median {statistics.median(ratios):.2f}")


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
