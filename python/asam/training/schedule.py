"""Factors that change with the step."""

from __future__ import annotations

import math

from asam.training.config import TrainConfig


def learning_rate(step: int, config: TrainConfig) -> float:
    """Factor on the peak: linear warm-up, then the schedule's way to the last step.

    Schedules: "cosine" and "linear" fall to zero, "constant" stays.
    """
    if step < config.warmup:
        return (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    if config.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * done))
    return 1 - done if config.schedule == "linear" else 1.0


def divergence_weight(step: int, config: TrainConfig) -> float:
    """Factor on both KL terms: rises evenly to 1 over ``kl_warmup`` steps (Bowman et al. 2016)."""
    return min(1.0, (step + 1) / config.kl_warmup) if config.kl_warmup else 1.0


def unfinished_warmup(config: TrainConfig) -> str | None:
    """What a warm-up that is longer than the run leaves unreached, in a line; None where each ends in time."""
    last = config.steps - 1
    ends = {
        "warmup": f"the learning rate ends at {learning_rate(last, config):.0%} of its peak",
        "kl_warmup": f"the KL weights end at {divergence_weight(last, config):.0%} of theirs",
    }
    late = [
        f"{name} of {getattr(config, name)} steps, {end}"
        for name, end in ends.items()
        if getattr(config, name) > config.steps
    ]
    if not late:
        return None
    return (
        f"expected warm-ups within the run of {config.steps} steps, got {'; '.join(late)}. "
        "Take more steps or a shorter warm-up"
    )
