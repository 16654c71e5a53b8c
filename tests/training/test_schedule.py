"""Factors of the learning rate and of the KL terms, and what a configuration refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asam.prompts import PromptMix
from asam.training import TrainConfig, schedule


@pytest.mark.parametrize(
    ("name", "middle", "end"), [("cosine", 0.5, 0.0), ("linear", 0.5, 0.0), ("constant", 1.0, 1.0)]
)
def test_learning_rate(name: Any, middle: float, end: float) -> None:
    config = TrainConfig(steps=110, warmup=10, schedule=name)
    assert [schedule.learning_rate(s, config) for s in range(10)] == pytest.approx(
        [(s + 1) / 10 for s in range(10)]
    )
    assert schedule.learning_rate(10, config) == 1
    assert schedule.learning_rate(60, config) == pytest.approx(middle)
    assert schedule.learning_rate(110, config) == pytest.approx(end, abs=1e-12)


def test_a_quarter_of_the_way() -> None:
    quarter = {
        name: schedule.learning_rate(25, TrainConfig(steps=100, warmup=0, schedule=name))  # type: ignore[arg-type]
        for name in ("cosine", "linear")
    }
    assert quarter == pytest.approx({"cosine": 0.5 + 2**0.5 / 4, "linear": 0.75})


def test_divergence_rises_evenly() -> None:
    config = TrainConfig(kl_warmup=4)
    assert [schedule.divergence_weight(s, config) for s in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert schedule.divergence_weight(0, TrainConfig()) == 1


def test_configuration_survives_json() -> None:
    config = TrainConfig(steps=7, eval_images=None, prompts=PromptMix(box=2, none=0.5), schedule="linear")
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"stepz": 3}, ValueError, "got also .'stepz'"),
        ({"prompts": {"boxes": 1}}, ValueError, "prompts.boxes"),
        ({"steps": "many"}, TypeError, "steps: expected int"),
        ({"steps": 2.5}, TypeError, "steps: expected int"),
        ({"augment": 1}, TypeError, "augment: expected bool"),
        ({"patience": True}, TypeError, "patience: expected int"),
        ({"schedule": "sine"}, ValueError, "cosine"),
        ({"mixed_precision": "fp8"}, ValueError, "bf16"),
        ({"patience": 0}, ValueError, "patience"),
        ({"accumulate": 0}, ValueError, "accumulate"),
        ({"focal": -1.0}, ValueError, "focal"),
        ({"free_nats": float("nan")}, ValueError, "free_nats"),
        ({"clip": 0.0}, ValueError, "clip"),
        ({"prompts": 3}, TypeError, "prompts: expected shares by kind, got 3"),
        ({"prior_samples": 10**7}, ValueError, "prior_samples: expected 1024 at most"),
        ({"seed": 2**64}, ValueError, "seed: expected .* at most"),
        ({"steps": 2**70}, ValueError, "steps: expected .* at most"),
        ({"prompts": {"most_points": 2**70}}, ValueError, "prompts.most_points: expected 1 to 1024"),
    ],
)
def test_a_wrong_configuration_is_named(values: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        TrainConfig.from_dict(values)
