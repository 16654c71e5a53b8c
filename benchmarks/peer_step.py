"""Time of a training step of A-SAM's ``nano`` and of every peer, on the same samples.

    python benchmarks/peer_step.py

A round takes one step of each network; the table has medians over the rounds, loading of batches left out.
"""

from __future__ import annotations

import argparse
import statistics
import time
from typing import Any

import torch

from asam.baselines import BASELINES, SAM, create
from asam.bench.machine import look
from asam.data import Synthetic
from asam.model import ASAM
from asam.training import TrainConfig
from asam.training.batches import loader


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)

    torch.manual_seed(0)
    networks: dict[str, Any] = {"asam": ASAM.from_preset(backbone="nano", image_size=options.side)}
    networks |= {name: create(name, image_size=options.side) for name in (*BASELINES, SAM)}
    config = TrainConfig(batch_size=options.batch, steps=1, workers=0)
    data = Synthetic("mix", size=options.side, seed=0, length=options.batch)
    seconds: dict[str, list[float]] = {name: [] for name in networks}
    for number in range(options.rounds + 1):
        for name, network in networks.items():
            batch = next(iter(loader(data, network.config, config, start=0)))
            network.zero_grad()
            start = time.perf_counter()
            total, _ = network.training_loss(batch, config)
            total.backward()
            if number:  # the first round warms up
                seconds[name].append(time.perf_counter() - start)

    machine = look()
    print(f"{machine.processor}, {options.threads} thread(s), commit {machine.commit}")
    print(f"batch of {options.batch} at {options.side} pixels, {options.rounds} rounds\n")
    print("| network | parameters | s a step | of asam |\n|---|---|---|---|")
    of_asam = statistics.median(seconds["asam"])
    for name, network in networks.items():
        step = statistics.median(seconds[name])
        count = sum(p.numel() for p in network.parameters())
        print(f"| {name} | {count / 1e6:.2f} M | {step:.3f} | {step / of_asam:.2f} |")


if __name__ == "__main__":
    main()
