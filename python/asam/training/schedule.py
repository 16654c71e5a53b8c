"""Factors that change with the step."""

from __future__ import annotations

import math

from asam.training.config import TrainConfig

_TRIAL = 10  # times as long as the run: a warm-up that nobody can mean to end within it
_PART = 3  # of a run, one in so many, that a warm-up may take: a longer one leaves little time near the peak


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
    """What a warm-up that is longer than the run leaves unreached, in a line.

    None where each ends in time, or the run is so much shorter that it can only be a trial.
    """
    last = config.steps - 1
    ends = {
        "warmup": f"the learning rate gets to {learning_rate(last, config):.0%} of its peak only",
        "kl_warmup": f"the KL weights get to {divergence_weight(last, config):.0%} of theirs only",
    }
    late = [name for name in ends if config.steps < getattr(config, name) <= _TRIAL * config.steps]
    if not late:
        return None
    options = " and ".join(f"--config.{name.replace('_', '-')}" for name in late)
    return (
        f"the run ends before its warm-up does, so {' and '.join(ends[name] for name in late)}. If this is not a "
        f"trial, take --config.steps of more than {max(getattr(config, name) for name in late)}, or a smaller {options}"
    )


def long_warmup(config: TrainConfig) -> str | None:
    """In a line that the learning rate's warm-up ends within the run, but takes a large part of it; None elsewhere."""
    most = config.steps // _PART
    if not most < config.warmup <= config.steps:
        return None
    return (
        f"the warm-up of the learning rate takes {config.warmup} of {config.steps} steps, "
        f"{config.warmup / config.steps:.0%}, and a third at most is usual: take --config.warmup of at most {most}, or "
        f"--config.steps of at least {_PART * config.warmup}"
    )


def changed_course(step: int, before: TrainConfig, after: TrainConfig) -> str | None:
    """What another length makes of the learning rate of a run that goes on, in a line; None where it changes nothing.

    The factor is a function of step and length alone, so it jumps to where a run of the new length would be.

    Args:
        step: steps done.
        before, after: the configurations until now and from now on.
    """
    was, now = learning_rate(step, before), learning_rate(step, after)
    if before.steps == after.steps or was == now:
        return None
    return (
        f"steps {after.steps} in place of {before.steps}: no second warm-up, but from step {step} on the learning rate "
        f"is that of a {after.schedule} schedule over {after.steps} steps, {now:.0%} of its peak where it was {was:.0%}"
    )
